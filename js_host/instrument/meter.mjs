// The host's side of the fuel counter.

/** Wraps the counter that the instrumented main module exports. Amounts are whole numbers up to 2**53 - 1. */
export class FuelMeter {
  #counter;
  #limit = 0;

  /** @param {WebAssembly.Global} counter the main module's export FUEL_NAME */
  constructor(counter) {
    this.#counter = counter;
    this.fill(Number.MAX_SAFE_INTEGER);
  }

  /** Begin to count: the guest may spend `limit` from now on. */
  fill(limit) {
    if (!Number.isSafeInteger(limit) || limit < 0) throw new RangeError(`fuel limit ${limit}`);
    this.#limit = limit;
    this.#counter.value = BigInt(limit);
  }

  /** Whether the guest has asked for more than there was; then the trap that ended it was this. */
  get isExhausted() {
    return this.#counter.value < 0n;
  }

  /** Spent since `fill`; at most the limit, because what comes after the last unit is not executed. */
  get spent() {
    return this.isExhausted ? this.#limit : this.#limit - Number(this.#counter.value);
  }

  /**
   * Pay for work that the host does for the guest, before it is done.
   *
   * @throws {WebAssembly.RuntimeError} there is not enough; no WebAssembly handler catches it
   */
  charge(amount) {
    this.#counter.value -= BigInt(amount);
    if (this.isExhausted) throw new WebAssembly.RuntimeError("out of fuel");
  }
}
