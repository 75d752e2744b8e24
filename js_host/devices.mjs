// Devices of the guest: standard streams, random bytes, the clock's lever, and where its outcome goes.
//
// stdout and stderr are collected up to a limit; one byte more ends the run (LimitExceeded), as an outcome.

const [EINVAL, ENODEV] = [28, 43];

/** Exit code of a task that puts out more than it may (function contract). */
export const OUTPUT_EXCEEDED = 153;

/** A counted limit was exceeded: an outcome, with the exit code that the function contract gives it. */
export class LimitExceeded extends Error {
  name = "LimitExceeded";

  constructor(what, exitCode) {
    super(`${what} limit exceeded`);
    this.exitCode = exitCode;
  }
}

/** Counts what a task writes against its output limit, whichever way it leaves. */
export class OutputMeter {
  constructor(limit) {
    this.limit = limit;
    this.used = 0;
    /** Somebody wanted more than there was, whatever became of the exception: compiled code can catch it. */
    this.isExceeded = false;
  }

  /** Room left, in bytes. */
  get room() {
    return this.limit - this.used;
  }

  /** Take `n` bytes of the limit. */
  take(n) {
    if (n > this.room) {
      this.isExceeded = true;
      throw new LimitExceeded("output", OUTPUT_EXCEEDED);
    }
    this.used += n;
  }
}

/** Small writes are gathered in blocks of this size: Python writes each part of each line on its own. */
const BLOCK_BYTES = 65536;

/** Collects one stream. */
export class Collected {
  #full = [];
  #block = null;
  #used = 0;

  /** @param {OutputMeter} meter shared by all outputs of the task */
  constructor(meter) {
    this.meter = meter;
  }

  /** What was written, in order. */
  get pieces() {
    return this.#used === 0 ? [...this.#full] : [...this.#full, this.#block.subarray(0, this.#used)];
  }

  /** Keep what fits; throw at the first byte that does not. */
  write(bytes) {
    const fits = Math.min(bytes.length, this.meter.room);
    if (fits > 0) this.#keep(bytes.subarray(0, fits));
    this.meter.take(fits);
    if (fits < bytes.length) this.meter.take(bytes.length - fits);
  }

  /** Forget what was written; it still counts against the limit. */
  clear() {
    this.#full = [];
    this.#used = 0;
  }

  /** The last piece as text, for reports of the host's own failures. */
  text() {
    return new TextDecoder().decode(this.pieces.at(-1));
  }

  #keep(bytes) {
    if (bytes.length > BLOCK_BYTES - this.#used) this.#endBlock();
    if (bytes.length > BLOCK_BYTES) {
      this.#full.push(bytes.slice());
      return;
    }
    this.#block ??= new Uint8Array(BLOCK_BYTES);
    this.#block.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  #endBlock() {
    if (this.#used > 0) this.#full.push(this.#block.slice(0, this.#used));
    this.#used = 0;
  }
}

/** What the function gives: its result and its exit code. Until it gives one, it has failed. */
export class Outcome {
  exitCode = 1;
  /** Whether Python has come back with steps of the function left. */
  hasMore = false;

  /** @param {OutputMeter} meter shared by all outputs of the task */
  constructor(meter) {
    this.result = new Collected(meter);
  }

  /** The guest states its exit code: decimal text, 0 to 255. */
  state(bytes) {
    const text = String.fromCharCode(...bytes.subarray(0, 4));
    if (!/^\d{1,3}$/.test(text) || Number(text) > 255) return false;
    this.exitCode = Number(text);
    return true;
  }

  /** The run ended before the function returned: there is no result. */
  endWith(exitCode) {
    this.exitCode = exitCode;
    this.result.clear();
  }
}

/** Replace the glue's devices by ours, which serve the world's current task, and reopen the standard streams on them. */
export function installDevices(Module, world) {
  const { entropy, clock } = world;
  const { FS } = Module;
  const major = 200;
  const ops = (read, write) => ({
    open(stream) {
      stream.seekable = false;
    },
    close() {},
    fsync() {},
    llseek() {
      throw new FS.ErrnoError(70); // ESPIPE
    },
    read(_stream, buffer, offset, length) {
      if (!read) throw new FS.ErrnoError(ENODEV);
      return read(new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length));
    },
    write(_stream, buffer, offset, length) {
      if (!write) throw new FS.ErrnoError(ENODEV);
      write(new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length));
      return length;
    },
  });
  const endOfFile = () => 0;
  const random = (bytes) => {
    entropy.fill(bytes);
    return bytes.length;
  };
  const sleep = (bytes) => {
    const text = String.fromCharCode(...bytes.subarray(0, 24));
    if (!/^\d{1,19}$/.test(text)) throw new FS.ErrnoError(EINVAL);
    clock.advanceNs(BigInt(text));
  };
  const exitCode = (bytes) => {
    if (!world.outcome.state(bytes)) throw new FS.ErrnoError(EINVAL);
  };
  const devices = [
    ["stdin", ops(endOfFile, null)],
    ["stdout", ops(null, (bytes) => world.stdout.write(bytes))],
    ["stderr", ops(null, (bytes) => world.stderr.write(bytes))],
    ["random", ops(random, () => {})],
    ["urandom", ops(random, () => {})],
    // The guest's time.sleep writes the nanoseconds to sleep, in decimal.
    ["sleep", ops(null, sleep)],
    ["result", ops(null, (bytes) => world.outcome.result.write(bytes))],
    ["exit_code", ops(null, exitCode)],
    // The guest's main says that its function has steps left.
    ["step", ops(null, () => (world.outcome.hasMore = true))],
  ];
  for (const fd of [0, 1, 2]) FS.closeStream(fd);
  for (const gone of ["tty", "tty1", "stdin", "stdout", "stderr", "random", "urandom"]) {
    if (FS.analyzePath(`/dev/${gone}`, true).exists) FS.unlink(`/dev/${gone}`);
  }
  devices.forEach(([name, device], minor) => {
    FS.registerDevice(FS.makedev(major, minor), device);
    FS.mkdev(`/dev/${name}`, FS.makedev(major, minor));
  });
  FS.open("/dev/stdin", 0);
  FS.open("/dev/stdout", 1);
  FS.open("/dev/stderr", 1);
}
