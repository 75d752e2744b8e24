// The virtual clock: starts at the task's epoch, moves by one tick when the guest reads it and by its length when the
// guest sleeps. Host time never enters.

/** One tick: a guest that reads the clock twice sees it move, as on a fast machine. */
export const TICK_NS = 1000n;

const NS_PER_MS = 1_000_000n;

export class Clock {
  #epochNs = 0n;
  #elapsedNs = 0n;

  /** Start again at `epochSeconds` (integer, may be negative). */
  reset(epochSeconds) {
    this.#epochNs = BigInt(epochSeconds) * 1_000_000_000n;
    this.#elapsedNs = 0n;
  }

  /** Nanoseconds since the task began: looks without moving. */
  get elapsedNs() {
    return this.#elapsedNs;
  }

  /** Go on where a run of the same task stood. */
  resume(elapsedNs) {
    this.#elapsedNs = elapsedNs;
  }

  /** Guest reads the wall clock: nanoseconds since 1970, UTC. */
  readRealtimeNs() {
    return this.#epochNs + this.readMonotonicNs();
  }

  /** Guest reads a monotonic or CPU clock: nanoseconds since the task began. */
  readMonotonicNs() {
    this.#elapsedNs += TICK_NS;
    return this.#elapsedNs;
  }

  /** Guest sleeps: costs nothing, moves the clock. */
  advanceNs(duration) {
    if (duration > 0n) this.#elapsedNs += duration;
  }

  /** Time stamp for files: looks without moving, because the glue reads it on its own account. Whole milliseconds. */
  fileMilliseconds() {
    return Number((this.#epochNs + this.#elapsedNs) / NS_PER_MS);
  }

  /** Looks without moving, in milliseconds since the task began. */
  monotonicMilliseconds() {
    return Number(this.#elapsedNs / 1000n) / 1000;
  }
}
