// What the guest can read of, or write to, outside its memory: one for the process, with the current task in it.

import { Clock } from "./clock.mjs";
import { Collected, Outcome, OutputMeter } from "./devices.mjs";
import { EntropyStream } from "./entropy.mjs";
import { Gate } from "./gate.mjs";

/** The stream that Python boots on, and every image is made with, is the same everywhere. */
const BOOT_KEY = new Uint8Array(32);

/** What booting, and importing packages for an image, may use; see `begin`. */
export const BOOT_LIMITS = Object.freeze({ memory: 1 << 30, output: 1 << 20, key: BOOT_KEY });

export class World {
  clock = new Clock();
  gate = new Gate();
  entropy = new EntropyStream(BOOT_KEY);
  /** For the glue's own use of randomness. */
  glueEntropy = new EntropyStream(BOOT_KEY);
  /** The fuel meter, from when the main module is instantiated. */
  fuel = null;
  /** Bytes that the guest's own files take, and may take. */
  diskUsed = 0;
  /** Whether the loader has changed what cannot be changed back since the task began. */
  hasLinked = false;
  /** Whether a module is loaded that keeps state where no image holds it. */
  keepsState = false;
  /** Path that dlopen was called with last. */
  group = null;

  constructor() {
    this.begin({ ...BOOT_LIMITS, epoch: 0 });
  }

  /**
   * Begin a task: nothing of the last one is left here.
   *
   * @param {object} task
   * @param {number} task.epoch where the clock starts, seconds
   * @param {number} task.memory limit in bytes, for the linear memory and for files
   * @param {number} task.output limit in bytes
   * @param {Uint8Array} task.key 32 bytes
   */
  begin({ epoch, memory, output, key }) {
    this.memoryLimit = memory;
    this.meter = new OutputMeter(output);
    this.stdout = new Collected(this.meter);
    this.stderr = new Collected(this.meter);
    this.outcome = new Outcome(this.meter);
    /** The first failure of the host while the guest ran: whatever the guest made of it, there is no outcome. */
    this.hostFailure = null;
    this.hasLinked = false;
    this.clock.reset(epoch);
    this.entropy.reset(key);
    this.glueEntropy.reset(BOOT_KEY);
  }

  /** How far the task has come in what is counted here: JSON. */
  describe() {
    const { clock, entropy, glueEntropy, fuel, meter, outcome, diskUsed } = this;
    return {
      elapsed_ns: String(clock.elapsedNs), drawn: entropy.drawn, drawn_by_glue: glueEntropy.drawn, fuel: fuel.spent,
      output: meter.used, exit_code: outcome.exitCode, disk: diskUsed,
    };
  }

  /**
   * Go on from where a run was that has come to the same state.
   *
   * @param {object} state see `describe`
   * @param {Uint8Array[]} outputs what it had written to stdout, to stderr and as its result
   * @param {number} limit of fuel, for the whole run
   */
  resume(state, outputs, limit) {
    this.clock.resume(BigInt(state.elapsed_ns));
    this.entropy.resume(state.drawn);
    this.glueEntropy.resume(state.drawn_by_glue);
    this.fuel.fill(limit);
    this.fuel.charge(state.fuel);
    [this.stdout, this.stderr, this.outcome.result].forEach((stream, i) => stream.write(outputs[i]));
    this.meter.used = state.output;
    this.outcome.exitCode = state.exit_code;
    this.diskUsed = state.disk;
  }

  onFailure = (error) => {
    this.hostFailure ??= error;
  };
}
