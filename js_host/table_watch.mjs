// Sees every change that the glue makes to the shared table of functions.
//
// Compiled modules fill their own part when they are instantiated, and have no instruction to change it later (the
// main module has none; side modules that do keep state, see instrument/hidden_state.mjs). Everything else goes through
// the table object's own methods, which this puts itself in front of.

export class TableWatch {
  #table;
  #set;
  #grow;
  #before = new Map();

  /** @param {WebAssembly.Table} table before anybody else uses it */
  constructor(table) {
    this.#table = table;
    this.#set = table.set;
    this.#grow = table.grow;
    Object.defineProperty(table, "set", { value: (index, ...value) => this.#note(index, value) });
    Object.defineProperty(table, "grow", { value: (...delta) => Reflect.apply(this.#grow, table, delta) });
    this.begin();
  }

  /** Forget what was seen: the table as it is now is what later changes are counted from. */
  begin() {
    this.#before.clear();
    this.start = this.#table.length;
  }

  /** Whether it has more slots than when it began. A table cannot shrink. */
  get hasGrown() {
    return this.#table.length !== this.start;
  }

  /** Slots that were set since it began, ascending. */
  get changed() {
    return [...this.#before.keys()].sort((one, other) => one - other);
  }

  /** What was in a changed slot before, null if nothing was. */
  before(index) {
    return this.#before.get(index);
  }

  get(index) {
    return this.#table.get(index);
  }

  get length() {
    return this.#table.length;
  }

  /** Grow to a length; slots are empty. */
  growTo(length) {
    if (length < this.length) throw new Error(`the table has ${this.length} slots already, not ${length}`);
    if (length > this.length) Reflect.apply(this.#grow, this.#table, [length - this.length]);
  }

  #note(index, value) {
    if (!this.#before.has(index)) this.#before.set(index, index < this.length ? this.#table.get(index) : null);
    return Reflect.apply(this.#set, this.#table, [index, ...value]);
  }
}
