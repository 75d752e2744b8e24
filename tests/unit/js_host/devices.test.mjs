import assert from "node:assert/strict";
import { test } from "node:test";

import { Collected, LimitExceeded, Outcome, OutputMeter, installDevices } from "../../../js_host/devices.mjs";
import { Clock } from "../../../js_host/clock.mjs";
import { EntropyStream } from "../../../js_host/entropy.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const textOf = (collected) => Buffer.concat(collected.pieces).toString();

test("a stream keeps what fits and ends the run at the first byte that does not", () => {
  const meter = new OutputMeter(5);
  const stream = new Collected(meter);
  stream.write(bytes("abc"));
  assert.throws(() => stream.write(bytes("def")), (error) => error instanceof LimitExceeded && error.exitCode === 153);
  assert.equal(textOf(stream), "abcde");
  assert.equal(meter.room, 0);
  assert.equal(meter.isExceeded, true, "whoever caught it");
});

test("streams share one limit", () => {
  const meter = new OutputMeter(4);
  const [out, err] = [new Collected(meter), new Collected(meter)];
  out.write(bytes("abc"));
  err.write(bytes("d"));
  assert.throws(() => err.write(bytes("e")), LimitExceeded);
  err.write(bytes(""));
});

test("what was written is kept as it was", () => {
  const buffer = bytes("abc");
  const stream = new Collected(new OutputMeter(9));
  stream.write(buffer);
  buffer.fill(0);
  assert.equal(textOf(stream), "abc");
});

test("writes of all sizes come out in order, and small ones together", () => {
  const stream = new Collected(new OutputMeter(1 << 22));
  const sizes = [1, 2, 65535, 65536, 3, 200000, 0, 65537, 5, ...Array(5000).fill(40)];
  const all = sizes.map((size, i) => new Uint8Array(size).fill(i % 251));
  for (const part of all) stream.write(part);
  assert.ok(Buffer.concat(all).equals(Buffer.concat(stream.pieces)));
  assert.ok(stream.pieces.length < 20, `${stream.pieces.length} pieces`);
  stream.clear();
  stream.write(bytes("again"));
  assert.equal(textOf(stream), "again");
});

test("an outcome has failed until it states otherwise, and states 0 to 255", () => {
  const outcome = new Outcome(new OutputMeter(9));
  assert.equal(outcome.exitCode, 1);
  for (const wrong of ["", "-1", "256", "1234", "1x", " 1"]) assert.equal(outcome.state(bytes(wrong)), false, wrong);
  assert.equal(outcome.exitCode, 1);
  assert.equal(outcome.state(bytes("255")), true);
  assert.equal(outcome.exitCode, 255);
  outcome.result.write(bytes("r"));
  outcome.endWith(4);
  assert.deepEqual([outcome.exitCode, outcome.result.pieces], [4, []]);
});

/** Install the devices on a file system that only records. */
function installed(world) {
  const registered = {};
  const names = {};
  const opened = [];
  class ErrnoError extends Error {
    constructor(errno) {
      super(`errno ${errno}`);
      this.errno = errno;
    }
  }
  const FS = {
    ErrnoError,
    makedev: (major, minor) => major * 1000 + minor,
    registerDevice: (device, ops) => (registered[device] = ops),
    mkdev: (path, device) => (names[path] = device),
    open: (path) => opened.push(path),
    closeStream() {},
    unlink() {},
    analyzePath: () => ({ exists: true }),
  };
  installDevices({ FS }, world);
  return { device: (path) => registered[names[path]], opened };
}

function aWorld() {
  const meter = new OutputMeter(100);
  const parts = { stdout: new Collected(meter), stderr: new Collected(meter), outcome: new Outcome(meter) };
  return { ...parts, entropy: new EntropyStream(new Uint8Array(32)), clock: new Clock() };
}

test("standard streams are opened in order", () => {
  assert.deepEqual(installed(aWorld()).opened, ["/dev/stdin", "/dev/stdout", "/dev/stderr"]);
});

test("the sleep device moves the clock by decimal nanoseconds, and takes nothing else", () => {
  const world = aWorld();
  const sleep = installed(world).device("/dev/sleep");
  const write = (text) => sleep.write({}, bytes(text), 0, text.length);
  write("1000000");
  assert.equal(world.clock.monotonicMilliseconds(), 1);
  for (const wrong of ["", "-1", "1.5", "x", "1".repeat(20)]) {
    assert.throws(() => write(wrong), (error) => error.errno === 28, wrong);
  }
  assert.equal(world.clock.monotonicMilliseconds(), 1);
});

test("random bytes come from the stream, at the offset that was asked for", () => {
  const expected = new Uint8Array(4);
  new EntropyStream(new Uint8Array(32)).fill(expected);
  const buffer = new Uint8Array(8);
  assert.equal(installed(aWorld()).device("/dev/urandom").read({}, buffer, 3, 4), 4);
  assert.deepEqual(buffer, Uint8Array.from([0, 0, 0, ...expected, 0]));
});

test("standard input is at its end, and cannot be written", () => {
  const stdin = installed(aWorld()).device("/dev/stdin");
  assert.equal(stdin.read({}, new Uint8Array(4), 0, 4), 0);
  assert.throws(() => stdin.write({}, new Uint8Array(4), 0, 4), (error) => error.errno === 43);
});
