// What the loader has done since the image: side modules, symbols and slots of the table, for checkpoints.
//
// The same records as an image has of them (image.mjs), counted from the image's instance instead of from nothing.

import { describeSymbols, fillSlots, nameSlots, NotImageable, restoreSymbols, symbolsOf } from "./image.mjs";
import { loadLibraries, updateLibrary } from "./libraries.mjs";

export class Links {
  #instance;
  #image;
  #log;
  #compile;
  #symbols;
  /** Which modules were loaded together; the log knows that only of those that the guest has loaded. */
  #groups;

  /**
   * @param {import("./boot.mjs").Instance} instance as the image has it
   * @param {object} image its state
   * @param {import("./libraries.mjs").LibraryLog} log
   * @param {(path: string) => WebAssembly.Module} compile a side module
   */
  constructor(instance, image, log, compile) {
    this.#instance = instance;
    this.#image = image;
    this.#log = log;
    this.#compile = compile;
    this.#symbols = symbolsOf(instance.Module);
    this.#groups = new Map(image.libraries.map(({ path, group }) => [path, group]));
  }

  /**
   * Write down what has changed; null if nothing has.
   *
   * @param {boolean} hasLinked whether the guest has loaded a module or looked up a symbol
   * @throws {NotImageable} it cannot be written down
   */
  describe(hasLinked) {
    const { Module, table } = this.#instance;
    const free = [...Module.freeTableIndexes];
    const isSame = !table.hasGrown && table.changed.length === 0 && free.join() === this.#image.table.free.join();
    if (isSame && !hasLinked) return null;
    // The glue remembers where each function was first, and no record has that.
    const isTaken = table.changed.some((slot) => table.before(slot) !== null);
    if (isTaken) throw new NotImageable("has taken a function out of the table");
    const libraries = this.#log.describe(Module).map((library) => {
      const { path } = library;
      return this.#groups.has(path) ? { ...library, group: this.#groups.get(path) } : library;
    });
    this.#image.libraries.forEach(({ path, global }, i) => {
      const now = libraries[i];
      if (now?.path !== path || now.global !== global) throw new NotImageable(`has loaded ${path} in another way`);
    });
    // Which function a symbol means depends on what was loaded for all before it was first called, and no record has that.
    const open = libraries.slice(this.#image.libraries.length).find(({ global }) => global);
    if (open !== undefined) throw new NotImageable(`has loaded ${open.path} for all others to use`);
    const symbols = describeSymbols(Module, this.#symbols);
    return { libraries, symbols, table: { length: table.length, free, slots: nameSlots(this.#instance) } };
  }

  /** Do what was written down, in an instance that is as the image has it; memory is not written to. */
  restore({ libraries, symbols, table: { length, free, slots } }) {
    const { Module, table } = this.#instance;
    const before = this.#image.libraries.length;
    restoreSymbols(Module, symbols);
    for (const library of libraries.slice(0, before)) updateLibrary(Module, library);
    loadLibraries(this.#instance, libraries.slice(before), this.#compile);
    for (const { path, group } of libraries) this.#groups.set(path, group);
    table.growTo(length);
    const there = new Set(this.#instance.slots.map((slot) => slot.join()));
    fillSlots(this.#instance, slots.filter((slot) => !there.has(slot.join())));
    Module.freeTableIndexes.splice(0, Infinity, ...free);
  }
}
