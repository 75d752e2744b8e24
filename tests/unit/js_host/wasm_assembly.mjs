// A small assembler for test modules: numbers are opcodes, helpers make immediates, arrays nest.

import { STACK_LOW } from "../../../js_host/instrument/stack_plan.mjs";

const flat = (parts) => parts.flat(Infinity);

export const u32 = (n) => {
  const bytes = [];
  for (n >>>= 0; n >= 0x80; n >>>= 7) bytes.push((n & 0x7f) | 0x80);
  return [...bytes, n];
};

export const s64 = (value) => {
  const bytes = [];
  for (let n = BigInt(value); ; ) {
    const low = Number(n & 0x7fn);
    n >>= 7n;
    if ((n === 0n && low < 0x40) || (n === -1n && low >= 0x40)) return [...bytes, low];
    bytes.push(low | 0x80);
  }
};

export const [I32, I64, F32, F64, V128] = [0x7f, 0x7e, 0x7d, 0x7c, 0x7b];
export const EMPTY = 0x40;

const name = (text) => [...u32(text.length), ...Buffer.from(text)];
const vector = (items) => [...u32(items.length), ...flat(items)];
const section = (id, content) => {
  const bytes = flat(content);
  return [id, ...u32(bytes.length), ...bytes];
};

const KINDS = { function: 0, table: 1, memory: 2, global: 3, tag: 4 };

/**
 * Assemble a module. All parts are optional.
 *
 * types [[params, results]…], imports [[module, name, kind, description bytes]…], functions [{type, locals, code,
 * export}…] (code without its end), memory (pages), globals [[type, mutable, constant bytes]…], tags [type…],
 * exports [[name, kind, index]…], tables [bytes…], elements, data: raw items; custom [[name, bytes]…] come first.
 */
export function assemble({
  types = [], imports = [], functions = [], memory = null, globals = [], tags = [], exports = [], tables = [],
  elements = [], data = [], start = null, custom = [],
}) {
  const imported = imports.filter(([, , kind]) => kind === "function").length;
  const all = [
    ...exports,
    ...functions.flatMap((f, i) => (f.export ? [[f.export, "function", imported + i]] : [])),
    ...(memory === null ? [] : [["memory", "memory", 0]]),
  ];
  const body = ({ locals = [], code }) => {
    const bytes = flat([vector(locals.map((type) => [1, type])), code, 0x0b]);
    return [...u32(bytes.length), ...bytes];
  };
  return Uint8Array.from(flat([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    custom.map(([title, bytes]) => section(0, [name(title), bytes])),
    types.length ? section(1, vector(types.map(([params, results]) => [0x60, vector(params), vector(results)]))) : [],
    imports.length ? section(2, vector(imports.map(([from, what, kind, description]) => [name(from), name(what), KINDS[kind], description]))) : [],
    functions.length ? section(3, vector(functions.map(({ type = 0 }) => u32(type)))) : [],
    tables.length ? section(4, vector(tables)) : [],
    memory === null ? [] : section(5, vector([[0, ...u32(memory)]])),
    tags.length ? section(13, vector(tags.map((type) => [0, ...u32(type)]))) : [],
    globals.length ? section(6, vector(globals.map(([type, mutable, constant]) => [type, mutable, constant, 0x0b]))) : [],
    all.length ? section(7, vector(all.map(([title, kind, index]) => [name(title), KINDS[kind], u32(index)]))) : [],
    start === null ? [] : section(8, u32(start)),
    elements.length ? section(9, vector(elements)) : [],
    data.length ? section(12, u32(data.length)) : [],
    functions.length ? section(10, vector(functions.map(body))) : [],
    data.length ? section(11, vector(data)) : [],
  ]));
}

// Instructions that the tests use by name.
export const get = (i) => [0x20, u32(i)];
export const set = (i) => [0x21, u32(i)];
export const tee = (i) => [0x22, u32(i)];
export const i32 = (n) => [0x41, s64(n)];
export const i64 = (n) => [0x42, s64(n)];
export const f64 = (bits) => [0x44, Array.from(new Uint8Array(BigUint64Array.of(bits).buffer))];
export const call = (i) => [0x10, u32(i)];
export const br = (label) => [0x0c, label];
export const brIf = (label) => [0x0d, label];
export const brTable = (labels, otherwise) => [0x0e, vector(labels), otherwise];
export const block = (...code) => [0x02, EMPTY, code, 0x0b];
export const loop = (...code) => [0x03, EMPTY, code, 0x0b];
export const when = (then, otherwise = null) => [0x04, EMPTY, then, otherwise === null ? [] : [0x05, otherwise], 0x0b];
export const [NOP, RETURN, DROP, UNREACHABLE, SELECT] = [0x01, 0x0f, 0x1a, 0x00, 0x1b];
export const [ADD, SUB, LT_U, EQZ] = [0x6a, 0x6b, 0x49, 0x45];
export const simd = (code) => [0xfd, u32(code)];
/** Loads and stores with no offset, aligned as far as the format cares. */
export const at = (opcode) => [opcode, 0, 0];

/** Where the stack pointer of test modules begins. */
export const STACK_HIGH = STACK_LOW + (1 << 15);
/** A stack as the main module has it, for `globals` and `exports`. */
export const STACK_GLOBALS = [[I32, 1, i32(STACK_HIGH)], [I32, 0, i32(STACK_LOW)]];
export const STACK_EXPORTS = ["__stack_pointer", "__stack_low"];

/** Instantiate; returns exports. */
export const run = (bytes, imports = {}) => new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports;
