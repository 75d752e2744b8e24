// The parts of a module that instrumentation has to know: types, imports, functions, globals, exports, sections.
//
// Source: WebAssembly core specification 2.0, 5.5 "Modules". Sections that only carry on are kept as byte ranges. What
// the profile leaves out (shared or 64-bit memories, several memories, reference types of the GC proposal) is refused.

import { ByteReader, WasmError } from "./bytes.mjs";

export const SECTION = Object.freeze({
  CUSTOM: 0, TYPE: 1, IMPORT: 2, FUNCTION: 3, TABLE: 4, MEMORY: 5, GLOBAL: 6, EXPORT: 7, START: 8, ELEMENT: 9,
  CODE: 10, DATA: 11, DATA_COUNT: 12, TAG: 13,
});
const { CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT, TAG } =
  SECTION;

/** The order in which sections may stand; the tag section (exception handling) lies between memory and global. */
export const SECTION_ORDER = [TYPE, IMPORT, FUNCTION, TABLE, MEMORY, TAG, GLOBAL, EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA];

export const KIND = Object.freeze({ FUNCTION: 0, TABLE: 1, MEMORY: 2, GLOBAL: 3, TAG: 4 });

export const VALUE = Object.freeze({ I32: 0x7f, I64: 0x7e, F32: 0x7d, F64: 0x7c, V128: 0x7b });
const VALUE_TYPES = new Set([...Object.values(VALUE), 0x70, 0x6f]);

const MAGIC = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/** Most of anything that is counted: what engines agree on, so that a small file cannot ask for a large array. */
const MOST = 1_000_000;

/**
 * @typedef {object} Module
 * @property {Uint8Array} bytes
 * @property {Array<{id: number, name: string | null, from: number, to: number}>} sections without ids and lengths
 * @property {Array<{params: number[], results: number[]}>} types
 * @property {Array<{module: string, name: string, kind: number, type: number}>} imports type: of functions and tags
 * @property {number[]} functionTypes type index of every function, imported ones first
 * @property {number} importedFunctions
 * @property {number} importedGlobals
 * @property {number} globals imported and own
 * @property {Array<number | null>} globalConstants initial value of each own global that is one i32.const
 * @property {number[]} mutableGlobals indices of the own globals that can change
 * @property {number} tables imported and own
 * @property {number} memories own ones
 * @property {number} start index of the start function, -1 without
 * @property {number[]} tagTypes type index of every tag, imported ones first
 * @property {Array<{name: string, kind: number, index: number}>} exports
 * @property {Array<{from: number, to: number}>} bodies of the module's own functions
 */

const I32_CONST = 0x41;

/** Read a module's outline; bodies are left to `function_reader.mjs`. Returns a Module. */
export function readModule(bytes) {
  const reader = new ByteReader(bytes);
  for (const expected of MAGIC) {
    if (reader.u8() !== expected) throw new WasmError("not a WebAssembly module, version 1", reader.at - 1);
  }
  const module = {
    bytes, sections: [], types: [], imports: [], functionTypes: [], importedFunctions: 0, importedGlobals: 0,
    globals: 0, globalConstants: [], mutableGlobals: [], tables: 0, memories: 0, start: -1, tagTypes: [], exports: [], bodies: [],
  };
  let last = -1;
  while (!reader.done) {
    const at = reader.at;
    const id = reader.u8();
    const part = reader.part(reader.u32());
    const section = { id, name: id === CUSTOM ? part.name() : null, from: part.at, to: part.end };
    if (id !== CUSTOM) {
      const place = SECTION_ORDER.indexOf(id);
      if (place < 0) throw new WasmError(`unknown section ${id}`, at);
      if (place <= last) throw new WasmError(`section ${id} is repeated or out of order`, at);
      last = place;
      READ[id]?.(part, module);
      if (READ[id] && !part.done) throw new WasmError(`section ${id} is longer than its content`, part.at);
    }
    module.sections.push(section);
  }
  if (module.bodies.length !== module.functionTypes.length - module.importedFunctions) {
    throw new WasmError(`${module.functionTypes.length - module.importedFunctions} functions have ${module.bodies.length} bodies`);
  }
  return module;
}

const READ = {
  [TYPE]: (reader, { types }) => vector(reader, () => types.push(functionType(reader))),
  [IMPORT]: (reader, module) => vector(reader, () => readImport(reader, module)),
  [FUNCTION]: (reader, { functionTypes, types }) => vector(reader, () => functionTypes.push(index(reader, types))),
  [TABLE]: (reader, module) => vector(reader, () => readTable(reader, module)),
  [MEMORY]: (reader, module) => vector(reader, () => {
    memoryType(reader);
    module.memories += 1;
  }),
  [TAG]: (reader, module) => vector(reader, () => module.tagTypes.push(tagType(reader, module))),
  [GLOBAL]: (reader, module) => vector(reader, () => readGlobal(reader, module)),
  [EXPORT]: (reader, { exports }) => vector(reader, () => exports.push(readExport(reader))),
  [START]: (reader, module) => (module.start = index(reader, module.functionTypes)),
  [CODE]: (reader, { bodies }) => vector(reader, () => {
    const { at, end } = reader.part(reader.u32());
    bodies.push({ from: at, to: end });
  }),
};

/** What decoding and following a body need to know: of the module's own function i. */
export function scopeOf({ bytes, types, functionTypes, tagTypes, globals, importedFunctions }, i) {
  const { params, results } = types[functionTypes[importedFunctions + i]];
  return { bytes, types, functionTypes, tagTypes, globals, params, results };
}

/** Read a count, then call `item` as often. */
export function vector(reader, item) {
  const at = reader.at;
  const count = reader.u32();
  if (count > MOST) throw new WasmError(`${count} items are more than any engine takes`, at);
  for (let i = 0; i < count; i++) item(i);
}

/** Read an index into `things`. */
function index(reader, things) {
  const at = reader.at;
  const i = reader.u32();
  if (i >= things.length) throw new WasmError(`index ${i} is out of range`, at);
  return i;
}

export function valueType(reader) {
  const at = reader.at;
  const type = reader.u8();
  if (!VALUE_TYPES.has(type)) throw new WasmError(`value type 0x${type.toString(16)} is not in the profile`, at);
  return type;
}

function functionType(reader) {
  const at = reader.at;
  const form = reader.u8();
  if (form !== 0x60) throw new WasmError(`type form 0x${form.toString(16)} is not in the profile`, at);
  const list = () => {
    const types = [];
    vector(reader, () => types.push(valueType(reader)));
    return types;
  };
  return { params: list(), results: list() };
}

function limits(reader) {
  const at = reader.at;
  const flags = reader.u8();
  if (flags > 1) throw new WasmError("shared, 64-bit and other special limits are not in the profile", at);
  reader.u32();
  if (flags === 1) reader.u32();
}

const memoryType = limits;

function readTable(reader, module) {
  tableType(reader);
  module.tables += 1;
}

function tableType(reader) {
  const at = reader.at;
  const type = reader.u8();
  if (type !== 0x70 && type !== 0x6f) throw new WasmError(`table type 0x${type.toString(16)} is not in the profile`, at);
  limits(reader);
}

function tagType(reader, { types }) {
  const at = reader.at;
  if (reader.u8() !== 0) throw new WasmError("tag attribute is not 0", at);
  return index(reader, types);
}

function readImport(reader, module) {
  const entry = { module: reader.name(), name: reader.name(), kind: reader.u8(), type: -1 };
  if (entry.kind === KIND.FUNCTION) module.functionTypes.push((entry.type = index(reader, module.types)));
  else if (entry.kind === KIND.TABLE) readTable(reader, module);
  else if (entry.kind === KIND.MEMORY) memoryType(reader);
  else if (entry.kind === KIND.GLOBAL) globalType(reader);
  else if (entry.kind === KIND.TAG) module.tagTypes.push((entry.type = tagType(reader, module)));
  else throw new WasmError(`import kind ${entry.kind} is unknown`, reader.at - 1);
  module.importedFunctions = module.functionTypes.length;
  if (entry.kind === KIND.GLOBAL) module.globals = module.importedGlobals += 1;
  module.imports.push(entry);
}

/** Step over a global's type; tells whether it can change. */
export function globalType(reader) {
  valueType(reader);
  const at = reader.at;
  const mutability = reader.u8();
  if (mutability > 1) throw new WasmError("global is neither constant nor mutable", at);
  return mutability === 1;
}

function readGlobal(reader, module) {
  if (globalType(reader)) module.mutableGlobals.push(module.globals);
  const ahead = new ByteReader(reader.bytes, reader.at, reader.end);
  const isConstant = ahead.u8() === I32_CONST;
  const value = isConstant ? ahead.s32() : null;
  constantExpression(reader, () => {});
  module.globalConstants.push(ahead.at === reader.at - 1 ? value : null);
  module.globals += 1;
}

function readExport(reader) {
  const name = reader.name();
  const kind = reader.u8();
  if (kind > KIND.TAG) throw new WasmError(`export kind ${kind} is unknown`, reader.at - 1);
  return { name, kind, index: reader.u32() };
}

/**
 * Step over a constant expression; `onGlobal(from, to, index)` is told where each global's index stands,
 * `onFunction(index)` whose address is taken.
 *
 * Extended constants (integer add, sub, mul) are what Emscripten places side modules with.
 */
export function constantExpression(reader, onGlobal, onFunction = () => {}) {
  for (;;) {
    const at = reader.at;
    const opcode = reader.u8();
    if (opcode === 0x0b) return;
    if (opcode === 0x23) {
      const from = reader.at;
      const i = reader.u32();
      onGlobal(from, reader.at, i);
    } else if (opcode === I32_CONST) reader.s32();
    else if (opcode === 0x42) reader.skipS64();
    else if (opcode === 0x43) reader.skip(4);
    else if (opcode === 0x44) reader.skip(8);
    else if (opcode === 0xd0) reader.skip(1);
    else if (opcode === 0xd2) onFunction(reader.u32());
    else if (opcode === 0xfd && reader.u32() === 0x0c) reader.skip(16);
    else if (!CONSTANT_ARITHMETIC.has(opcode)) {
      throw new WasmError(`opcode 0x${opcode.toString(16)} is not a constant`, at);
    }
  }
}

const CONSTANT_ARITHMETIC = new Set([0x6a, 0x6b, 0x6c, 0x7c, 0x7d, 0x7e]);
