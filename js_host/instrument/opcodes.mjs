// What the instrumenter knows of each instruction: immediates, operands, whether NaN bits are open, and its weight.
//
// Source: WebAssembly core specification 2.0 (binary 5.4, numerics 4.3.3 "nans"), and the legacy exception handling
// proposal, which the pinned Pyodide and its wheels are compiled to. What is not in these tables does not exist here:
// decoding stops and names the opcode. Codes: one-byte opcodes as they are, 0xFC n is 0x100 + n, 0xFD n is 0x200 + n.

/** How the bytes after the opcode are read. */
export const IMMEDIATE = Object.freeze({
  ABSENT: 0, NONE: 1, BLOCK: 2, LABEL: 3, LABELS: 4, INDEX: 5, INDEX_PAIR: 6, MEMARG: 7, MEMARG_LANE: 8, LANE: 9,
  BYTES_16: 10, S32: 11, S64: 12, BYTES_4: 13, BYTES_8: 14, REFERENCE_TYPE: 15, VALUE_TYPES: 16, ZERO_BYTE: 17,
  INDEX_ZERO: 18, ZERO_PAIR: 19,
});

/** Shapes of float values; NaN bits are made canonical lane by lane. */
export const FLOAT = Object.freeze({ NONE: 0, F32: 1, F64: 2, F32X4: 3, F64X2: 4 });

export const OP = Object.freeze({
  UNREACHABLE: 0x00, NOP: 0x01, BLOCK: 0x02, LOOP: 0x03, IF: 0x04, ELSE: 0x05, TRY: 0x06, CATCH: 0x07, THROW: 0x08,
  RETHROW: 0x09, END: 0x0b, BR: 0x0c, BR_IF: 0x0d, BR_TABLE: 0x0e, RETURN: 0x0f, CALL: 0x10, CALL_INDIRECT: 0x11,
  DELEGATE: 0x18, CATCH_ALL: 0x19, DROP: 0x1a, SELECT: 0x1b, SELECT_TYPED: 0x1c, LOCAL_GET: 0x20, LOCAL_SET: 0x21,
  LOCAL_TEE: 0x22, GLOBAL_GET: 0x23, GLOBAL_SET: 0x24, TABLE_SET: 0x26, MEMORY_GROW: 0x40, I32_CONST: 0x41,
  I64_CONST: 0x42, F32_CONST: 0x43,
  F64_CONST: 0x44, I32_LT_U: 0x49, I64_LT_S: 0x53, F32_EQ: 0x5b, F64_EQ: 0x61, I32_ADD: 0x6a, I32_SUB: 0x6b,
  I64_SUB: 0x7d, I64_SHR_U: 0x88, F32_ABS: 0x8b, F64_ABS: 0x99, I64_EXTEND_I32_U: 0xad, REF_FUNC: 0xd2,
  MEMORY_INIT: 0x108, DATA_DROP: 0x109, MEMORY_COPY: 0x10a, MEMORY_FILL: 0x10b, TABLE_INIT: 0x10c, ELEM_DROP: 0x10d,
  TABLE_COPY: 0x10e, TABLE_GROW: 0x10f, TABLE_FILL: 0x111, V128_CONST: 0x20c,
});

const CODES = 0x300;
/** IMMEDIATE of each code; ABSENT for what is refused. */
export const immediateOf = new Uint8Array(CODES);
/** Operands taken and results left, where they do not depend on types (see `HAS_TYPED_OPERANDS`). */
export const popsOf = new Uint8Array(CODES);
export const pushesOf = new Uint8Array(CODES);
/** FLOAT whose NaN bits the specification leaves open in this instruction's result. */
export const makesNan = new Uint8Array(CODES);
/** FLOAT of the operands if the result depends on whether they are NaN, never on which NaN. */
export const readsNanAsOne = new Uint8Array(CODES);
/** Fuel. */
export const weightOf = new Uint8Array(CODES).fill(1);

const I = IMMEDIATE;

/** Define codes first…last; `effect` is "pops>pushes". */
function define(first, last, immediate, effect) {
  const [pops, pushes] = effect.split(">").map(Number);
  for (let code = first; code <= last; code++) {
    immediateOf[code] = immediate;
    popsOf[code] = pops;
    pushesOf[code] = pushes;
  }
}

const each = (codes, act) => codes.forEach((item) => {
  const [first, last] = Array.isArray(item) ? item : [item, item];
  for (let code = first; code <= last; code++) act(code);
});

// Control. Effects of blocks, branches and calls depend on types; the walk knows them.
define(0x00, 0x01, I.NONE, "0>0");
define(0x02, 0x04, I.BLOCK, "0>0");
define(0x05, 0x05, I.NONE, "0>0");
define(0x06, 0x06, I.BLOCK, "0>0");
define(0x07, 0x08, I.INDEX, "0>0");
define(0x09, 0x09, I.LABEL, "0>0");
define(0x0b, 0x0b, I.NONE, "0>0");
define(0x0c, 0x0d, I.LABEL, "0>0");
define(0x0e, 0x0e, I.LABELS, "0>0");
define(0x0f, 0x0f, I.NONE, "0>0");
define(0x10, 0x10, I.INDEX, "0>0");
define(0x11, 0x11, I.INDEX_PAIR, "0>0");
define(0x18, 0x18, I.LABEL, "0>0");
define(0x19, 0x19, I.NONE, "0>0");
// Parametric, variables, tables.
define(0x1a, 0x1a, I.NONE, "1>0");
define(0x1b, 0x1b, I.NONE, "3>1");
define(0x1c, 0x1c, I.VALUE_TYPES, "3>1");
define(0x20, 0x20, I.INDEX, "0>1");
define(0x21, 0x21, I.INDEX, "1>0");
define(0x22, 0x22, I.INDEX, "1>1");
define(0x23, 0x23, I.INDEX, "0>1");
define(0x24, 0x24, I.INDEX, "1>0");
define(0x25, 0x25, I.INDEX, "1>1");
define(0x26, 0x26, I.INDEX, "2>0");
// Memory. memory.grow (0x40) is absent: whether it succeeds is the host's mood; Emscripten grows from outside.
define(0x28, 0x35, I.MEMARG, "1>1");
define(0x36, 0x3e, I.MEMARG, "2>0");
define(0x3f, 0x3f, I.ZERO_BYTE, "0>1");
// Constants and numbers.
define(0x41, 0x41, I.S32, "0>1");
define(0x42, 0x42, I.S64, "0>1");
define(0x43, 0x43, I.BYTES_4, "0>1");
define(0x44, 0x44, I.BYTES_8, "0>1");
define(0x45, 0xc4, I.NONE, "2>1");
each([0x45, 0x50, [0x67, 0x69], [0x79, 0x7b], [0x8b, 0x91], [0x99, 0x9f], [0xa7, 0xc4]], (code) => {
  popsOf[code] = 1;
});
define(0xd0, 0xd0, I.REFERENCE_TYPE, "0>1");
define(0xd1, 0xd1, I.NONE, "1>1");
define(0xd2, 0xd2, I.INDEX, "0>1");
// 0xFC: saturating truncation, bulk memory, tables.
define(0x100, 0x107, I.NONE, "1>1");
define(0x108, 0x108, I.INDEX_ZERO, "3>0");
define(0x109, 0x109, I.INDEX, "0>0");
define(0x10a, 0x10a, I.ZERO_PAIR, "3>0");
define(0x10b, 0x10b, I.ZERO_BYTE, "3>0");
define(0x10c, 0x10c, I.INDEX_PAIR, "3>0");
define(0x10d, 0x10d, I.INDEX, "0>0");
define(0x10e, 0x10e, I.INDEX_PAIR, "3>0");
define(0x10f, 0x10f, I.INDEX, "2>1");
define(0x110, 0x110, I.INDEX, "0>1");
define(0x111, 0x111, I.INDEX, "3>0");
// 0xFD: 128-bit SIMD. Relaxed SIMD (0xFD 0x100 and up) lies outside the tables.
define(0x200, 0x20a, I.MEMARG, "1>1");
define(0x20b, 0x20b, I.MEMARG, "2>0");
define(0x20c, 0x20c, I.BYTES_16, "0>1");
define(0x20d, 0x20d, I.BYTES_16, "2>1");
define(0x20e, 0x2ff, I.NONE, "2>1");
each([[0x20f, 0x214], 0x24d, 0x253, [0x25e, 0x264], [0x267, 0x26a], 0x274, 0x275, 0x27a, [0x27c, 0x281], 0x283, 0x284,
  [0x287, 0x28a], 0x294, 0x2a0, 0x2a1, 0x2a3, 0x2a4, [0x2a7, 0x2aa], 0x2c0, 0x2c1, 0x2c3, 0x2c4, [0x2c7, 0x2ca],
  0x2e0, 0x2e1, 0x2e3, 0x2ec, 0x2ed, 0x2ef, [0x2f8, 0x2ff]], (code) => {
  popsOf[code] = 1;
});
popsOf[0x252] = 3;
each([0x215, 0x216, 0x218, 0x219, 0x21b, 0x21d, 0x21f, 0x221], (code) => define(code, code, I.LANE, "1>1"));
each([0x217, 0x21a, 0x21c, 0x21e, 0x220, 0x222], (code) => define(code, code, I.LANE, "2>1"));
define(0x254, 0x257, I.MEMARG_LANE, "2>1");
define(0x258, 0x25b, I.MEMARG_LANE, "2>0");
define(0x25c, 0x25d, I.MEMARG, "1>1");
each([0x29a, 0x2a2, 0x2a5, 0x2a6, 0x2af, 0x2b0, [0x2b2, 0x2b4], 0x2bb, 0x2c2, 0x2c5, 0x2c6, 0x2cf, 0x2d0,
  [0x2d2, 0x2d4], 0x2e2, 0x2ee], (code) => {
  immediateOf[code] = I.ABSENT;
});

// NaN bits are open in arithmetic, rounding, square root, minimum and maximum, and changes of width. They are not in
// loads, constants, negation, absolute value, sign copy, reinterpretation, and pmin and pmax (which pick an operand).
const makers = {
  [FLOAT.F32]: [[0x8d, 0x97], 0xb6],
  [FLOAT.F64]: [[0x9b, 0xa5], 0xbb],
  [FLOAT.F32X4]: [[0x267, 0x26a], 0x2e3, [0x2e4, 0x2e9], 0x25e],
  [FLOAT.F64X2]: [0x274, 0x275, 0x27a, 0x294, 0x2ef, [0x2f0, 0x2f5], 0x25f],
};
const readers = {
  [FLOAT.F32]: [[0x8d, 0x97], 0xbb, [0x5b, 0x60], 0xa8, 0xa9, 0xae, 0xaf, 0x100, 0x101, 0x104, 0x105],
  [FLOAT.F64]: [[0x9b, 0xa5], 0xb6, [0x61, 0x66], 0xaa, 0xab, 0xb0, 0xb1, 0x102, 0x103, 0x106, 0x107],
  [FLOAT.F32X4]: [[0x267, 0x26a], 0x2e3, [0x2e4, 0x2e9], 0x25f, [0x241, 0x246], 0x2f8, 0x2f9],
  [FLOAT.F64X2]: [0x274, 0x275, 0x27a, 0x294, 0x2ef, [0x2f0, 0x2f5], 0x25e, [0x247, 0x24c], 0x2fc, 0x2fd],
};
for (const [shape, codes] of Object.entries(makers)) each(codes, (code) => (makesNan[code] = shape));
for (const [shape, codes] of Object.entries(readers)) each(codes, (code) => (readsNanAsOne[code] = shape));

/** Fuel for instructions that no machine code stands for. */
each([0x01, 0x02, 0x03, [0x05, 0x07], 0x0b, [0x18, 0x1a], [0x20, 0x22], [0x41, 0x44], 0xd0, 0xd2, 0x20c], (code) => (weightOf[code] = 0));
/** Division and square root, which take some ten times as long as an addition. */
each([[0x6d, 0x70], [0x7f, 0x82], 0x91, 0x95, 0x9f, 0xa3, 0x2e3, 0x2e7, 0x2ef, 0x2f3], (code) => (weightOf[code] = 8));
/** Calls: the frame that is made and taken down, and the check of the callee's type. */
weightOf[OP.CALL] = 3;
weightOf[OP.CALL_INDIRECT] = 6;
