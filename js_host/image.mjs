// Images: an instance written down, so that another process can go on from there.
//
// An image is the linear memory and a state, which is what the instance keeps elsewhere: globals, table slots and
// addresses of symbols that the loader made, side modules, files. Both are the same bytes wherever they are made. The
// rest of an instance is the same in every process that has come as far as `bootInstance`, and is checked to be.

import { listWritten } from "./file_system.mjs";
import { loadLibraries } from "./libraries.mjs";

/** WebAssembly's page: what memory grows by. */
const PAGE_BYTES = 65536;

/** Free memory that an image has beyond what is used: a quarter of that, within bounds. Growing ends a worker's reuse. */
const [LEAST_ROOM, MOST_ROOM] = [8 << 20, 64 << 20];

/** Free slots of the shared table in an image. */
const SPARE_SLOTS = 64;

/** What cannot be written down: a reason, not a failure. */
export class NotImageable extends Error {
  name = "NotImageable";
}

/**
 * Write down an instance in which nothing runs.
 *
 * @param {import("./boot.mjs").Instance} instance
 * @param {import("./libraries.mjs").LibraryLog} log
 * @returns {object} state, JSON; the memory is the instance's own
 */
export function captureState(instance, log) {
  const { Module, globals, tables, table } = instance;
  const { FS } = Module;
  const open = FS.streams.filter(Boolean).map(({ fd }) => fd);
  if (open.join() !== "0,1,2") throw new NotImageable("leaves files open");
  makeRoom(instance);
  makeSpareSlots(instance);
  const libraries = log.describe(Module);
  return {
    memory_bytes: Module.HEAPU8.length,
    globals: Object.fromEntries(Object.entries(globals).map(([name, { value }]) => [name, Number(value)])),
    tables: Object.fromEntries(Object.entries(tables).map(([name, { length }]) => [name, length])),
    table: {
      start: instance.firstSlots, length: table.length, free: [...Module.freeTableIndexes], slots: nameSlots(instance),
    },
    symbols: describeSymbols(Module, instance.firstSymbols),
    libraries,
    files: writtenFiles(Module),
  };
}

/** Addresses that the loader has given to symbols so far, and whether they must be there, by name. */
export const symbolsOf = ({ GOT }) =>
  new Map(Object.entries(GOT).map(([name, { value, required }]) => [name, [value, required === true]]));

/** How many symbols there were at first, and [name, value, required] of those that are others now. */
export function describeSymbols(Module, first) {
  const changed = [...symbolsOf(Module)].filter(([name, now]) => first.get(name)?.join() !== now.join());
  return { start: first.size, changed: changed.map(([name, now]) => [name, ...now]) };
}

/** Let memory grow until there is room beyond what is used. */
function makeRoom({ Module, exports }) {
  const used = Module.HEAPU32[exports.emscripten_get_sbrk_ptr() >>> 2];
  const room = Math.min(MOST_ROOM, Math.max(LEAST_ROOM, used / 4));
  const wanted = Math.ceil((used + room) / PAGE_BYTES) * PAGE_BYTES;
  if (wanted > Module.HEAPU8.length && !Module.growMemory(wanted)) throw new Error("the host has no memory left");
}

/** See to it that callbacks of ctypes find a free slot in the table, which otherwise would grow for good. */
function makeSpareSlots({ Module, table }) {
  const { freeTableIndexes: free } = Module;
  const first = table.length;
  table.growTo(first + Math.max(0, SPARE_SLOTS - free.length));
  for (let slot = table.length - 1; slot >= first; slot--) free.push(slot);
}

/** [path, content in hex, or null for a directory] below the writable directories: every task's tree begins with them. */
function writtenFiles(Module) {
  return listWritten(Module).map(({ path, kind, content = null }) => {
    if (kind === "other") throw new NotImageable(`leaves ${path}, which is neither file nor directory`);
    return [path, content];
  });
}

/** Name the functions in slots that the loader has set: [slot, path of the module, name of its export]. */
export function nameSlots({ Module, imports, exports, table, slots }) {
  const names = new Map();
  const name = (path, all) => {
    for (const [symbol, value] of Object.entries(all)) {
      if (typeof value === "function" && !names.has(value)) names.set(value, [path, symbol]);
    }
  };
  name("", exports);
  for (const [path, dso] of Object.entries(Module.LDSO.loadedLibsByName)) {
    if (path !== "__main__") name(path, dso.exports);
  }
  const free = new Set(Module.freeTableIndexes);
  const imported = new Map(Object.entries(Module.GOT).filter(([symbol]) => typeof imports[symbol] === "function" && imports[symbol].sig)
    .map(([symbol, { value }]) => [value, symbol]));
  const changed = table.changed;
  const kept = slots.filter(([slot]) => !free.has(slot) && !changed.includes(slot));
  return [...kept, ...changed.filter((slot) => !free.has(slot)).map((slot) => {
    const known = names.get(table.get(slot));
    if (known !== undefined) return [slot, ...known];
    if (imported.has(slot)) return [slot, "import", imported.get(slot)];
    throw new NotImageable("keeps a function of JavaScript in the table");
  })].sort(([one], [other]) => one - other);
}

/**
 * Bring a fresh instance to where an image was made. The wheels are mounted; Python was not started.
 *
 * @param {import("./boot.mjs").Instance} instance
 * @param {object} state
 * @param {import("./pristine.mjs").PristineMemory} pristine the image's memory
 * @param {(path: string) => WebAssembly.Module} compile a side module
 */
export function restoreImage(instance, state, pristine, compile) {
  const { Module, globals, tables, table } = instance;
  if (instance.firstSlots !== state.table.start) {
    throw new Error(`the table begins with ${instance.firstSlots} slots, not ${state.table.start}`);
  }
  if (pristine.length !== state.memory_bytes) throw new Error("the image's memory is not as large as its state says");
  if (!Module.growMemory(state.memory_bytes)) throw new Error("the host has no memory left for the image");
  restoreSymbols(Module, state.symbols);
  loadLibraries(instance, state.libraries, compile);
  table.growTo(state.table.length);
  fillSlots(instance, state.table.slots);
  Module.freeTableIndexes.splice(0, Infinity, ...state.table.free);
  pristine.layOver(Module.HEAPU8);
  for (const [name, length] of Object.entries(state.tables)) tables[name].grow(length - tables[name].length, null);
  for (const [name, value] of Object.entries(state.globals)) globals[name].value = value;
  instance.slots = state.table.slots;
  instance.references = Object.fromEntries(Object.entries(tables).map(([name, held]) => [name, contentOf(held)]));
  table.begin();
}

/** Put functions into the table. slots: see `nameSlots`. */
export function fillSlots(instance, slots) {
  const { Module } = instance;
  for (const [slot, path, symbol] of slots) {
    Module.setWasmTableEntry(slot, functionOf(instance, path, symbol));
    Module.updateTableMap(slot, 1);
  }
}

const contentOf = (table) => Array.from({ length: table.length }, (_, i) => table.get(i));

/** Give symbols the addresses that they had where they were described. */
export function restoreSymbols({ GOT }, { start, changed }) {
  const found = Object.keys(GOT).length;
  if (found !== start) throw new Error(`the loader knows ${found} symbols, not ${start}`);
  for (const [name, value, required] of changed) {
    GOT[name] ??= new WebAssembly.Global({ value: "i32", mutable: true }, value);
    GOT[name].value = value;
    if (required) GOT[name].required = true;
  }
}

function functionOf({ Module, imports, exports }, path, symbol) {
  if (path === "import") return Module.convertJsFunctionToWasm(imports[symbol], imports[symbol].sig);
  const found = path === "" ? exports[symbol] : Module.LDSO.loadedLibsByName[path].exports[symbol];
  if (typeof found !== "function") throw new Error(`${path || "the main module"} has no function ${symbol}`);
  return found;
}
