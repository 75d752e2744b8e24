// The arithmetic of the WebAssembly specification, through the instrumenter: results as ever, and every NaN canonical.

import assert from "node:assert/strict";
import { test } from "node:test";

import { instrument } from "../../../js_host/instrument/instrument.mjs";
import { makesNan } from "../../../js_host/instrument/opcodes.mjs";
import { assemble, at, F64, get, i32, I32, I64, run, simd } from "./wasm_assembly.mjs";

const bits64 = new DataView(new ArrayBuffer(8));
const toBits = { 32: (x) => (bits64.setFloat32(0, x), BigInt(bits64.getUint32(0))), 64: (x) => (bits64.setFloat64(0, x), bits64.getBigUint64(0)) };
const toNumber = {
  32: (b) => (bits64.setUint32(0, Number(b)), bits64.getFloat32(0)),
  64: (b) => (bits64.setBigUint64(0, b), bits64.getFloat64(0)),
};
const CANONICAL = { 32: 0x7fc00000n, 64: 0x7ff8000000000000n };

/** Zeros, ones, halves (ties), extremes, infinities, and NaNs: canonical, negative, with payload, signalling. */
const OPERANDS = {
  32: [0x00000000n, 0x80000000n, 0x3f800000n, 0xbf800000n, 0x3f000000n, 0x3fc00000n, 0xc0200000n, 0x00000001n, 0x80000001n,
    0x00800000n, 0x7f7fffffn, 0xff7fffffn, 0x4b000001n, 0x7f800000n, 0xff800000n, 0x7fc00000n, 0xffc00000n, 0x7fc0beefn,
    0xffdfffffn, 0x7f800001n, 0xffa00000n],
  64: [0x0000000000000000n, 0x8000000000000000n, 0x3ff0000000000000n, 0xbff0000000000000n, 0x3fe0000000000000n,
    0x3ff8000000000000n, 0xc004000000000000n, 0x0000000000000001n, 0x8000000000000001n, 0x0010000000000000n,
    0x7fefffffffffffffn, 0xffefffffffffffffn, 0x4330000000000001n, 0x7ff0000000000000n, 0xfff0000000000000n,
    0x7ff8000000000000n, 0xfff8000000000000n, 0x7ff800000badf00dn, 0xffffffffffffffffn, 0x7ff0000000000001n,
    0xfff4000000000000n, 0x36a0000000000000n, 0x47efffffffffffffn],
};

const nearest = (x) => {
  if (!Number.isFinite(x) || Math.abs(x) >= 2 ** 52) return x;
  const down = Math.floor(x);
  const rounded = x - down < 0.5 ? down : x - down > 0.5 ? down + 1 : down % 2 === 0 ? down : down + 1;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
};

/** name: [f32 opcode, f64 opcode, f32x4, f64x2, reference]. */
const OPERATIONS = {
  ceil: [0x8d, 0x9b, 0x67, 0x74, Math.ceil],
  floor: [0x8e, 0x9c, 0x68, 0x75, Math.floor],
  trunc: [0x8f, 0x9d, 0x69, 0x7a, Math.trunc],
  nearest: [0x90, 0x9e, 0x6a, 0x94, nearest],
  sqrt: [0x91, 0x9f, 0xe3, 0xef, Math.sqrt],
  add: [0x92, 0xa0, 0xe4, 0xf0, (x, y) => x + y],
  sub: [0x93, 0xa1, 0xe5, 0xf1, (x, y) => x - y],
  mul: [0x94, 0xa2, 0xe6, 0xf2, (x, y) => x * y],
  div: [0x95, 0xa3, 0xe7, 0xf3, (x, y) => x / y],
  min: [0x96, 0xa4, 0xe8, 0xf4, Math.min],
  max: [0x97, 0xa5, 0xe9, 0xf5, Math.max],
};

const hex = (bits) => `0x${bits.toString(16)}`;
const expectedBits = (width, value) => (Number.isNaN(value) ? CANONICAL[width] : toBits[width](value));
const pairs = (width, arity) =>
  OPERANDS[width].flatMap((x) => (arity === 1 ? [[x]] : OPERANDS[width].map((y) => [x, y])));

/** The bits that an instruction leaves: operands come as integers, the result leaves as one. */
function scalar(code, width, arity, resultWidth = width) {
  const integer = { 32: I32, 64: I64 };
  const fromInteger = { 32: 0xbe, 64: 0xbf };
  const toInteger = { 32: 0xbc, 64: 0xbd };
  const operands = Array.from({ length: arity }, (_, i) => [get(i), fromInteger[width]]);
  const bytes = assemble({
    types: [[Array(arity).fill(integer[width]), [integer[resultWidth]]]],
    functions: [{ code: [operands, code, toInteger[resultWidth]], export: "f" }],
  });
  const { f } = run(instrument(bytes, { kind: "main" }).bytes);
  const argument = width === 32 ? (b) => Number(BigInt.asIntN(32, b)) : (b) => BigInt.asIntN(64, b);
  return (...operandBits) => BigInt.asUintN(resultWidth, BigInt(f(...operandBits.map(argument))));
}

for (const [name, [code32, code64, , , reference]] of Object.entries(OPERATIONS)) {
  for (const [width, code] of [[32, code32], [64, code64]]) {
    test(`f${width}.${name}`, () => {
      const compute = scalar(code, width, reference.length === 1 ? 1 : 2);
      for (const operands of pairs(width, reference.length === 1 ? 1 : 2)) {
        const expected = expectedBits(width, reference(...operands.map(toNumber[width])));
        assert.equal(hex(compute(...operands)), hex(expected), operands.map(hex).join(" "));
      }
    });
  }
}

test("f32.demote_f64 and f64.promote_f32", () => {
  const [demote, promote] = [scalar(0xb6, 64, 1, 32), scalar(0xbb, 32, 1, 64)];
  for (const x of OPERANDS[64]) assert.equal(hex(demote(x)), hex(expectedBits(32, toNumber[64](x))), hex(x));
  for (const x of OPERANDS[32]) assert.equal(hex(promote(x)), hex(expectedBits(64, toNumber[32](x))), hex(x));
});

/** Operands and result lie in memory at 0, 16 and 32. */
function vector(code, arity) {
  const bytes = assemble({
    types: [[[], []]],
    memory: 1,
    functions: [{
      code: [i32(32), Array.from({ length: arity }, (_, i) => [i32(16 * i), 0xfd, at(0x00)]), simd(code), 0xfd, at(0x0b)],
      export: "f",
    }],
  });
  const { f, memory } = run(instrument(bytes, { kind: "main" }).bytes);
  return (...lanes) => {
    lanes.forEach((lane, i) => new Uint8Array(memory.buffer).set(new Uint8Array(lane.buffer), 16 * i));
    f();
    return memory.buffer.slice(32, 48);
  };
}

const LANES = { 32: Uint32Array, 64: BigUint64Array };

/** Operands moved through all lanes, so that each lane sees each case beside others. */
function* laneSets(width, arity) {
  const cases = pairs(width, arity);
  const lanes = 128 / width;
  for (let i = 0; i < cases.length; i++) {
    yield Array.from({ length: lanes }, (_, lane) => cases[(i + lane * 7) % cases.length]);
  }
}

for (const [name, [, , code32, code64, reference]] of Object.entries(OPERATIONS)) {
  for (const [width, code] of [[32, code32], [64, code64]]) {
    test(`f${width}x${128 / width}.${name}`, () => {
      const arity = reference.length === 1 ? 1 : 2;
      const compute = vector(code, arity);
      const word = width === 32 ? Number : (x) => x;
      for (const set of laneSets(width, arity)) {
        const inputs = Array.from({ length: arity }, (_, i) => LANES[width].from(set, (operands) => word(operands[i])));
        const found = Array.from(new LANES[width](compute(...inputs)), BigInt);
        const expected = set.map((operands) => expectedBits(width, reference(...operands.map(toNumber[width]))));
        assert.deepEqual(found.map(hex), expected.map(hex), set.map((operands) => operands.map(hex).join(" ")).join(", "));
      }
    });
  }
}

test("f32x4.demote_f64x2_zero and f64x2.promote_low_f32x4", () => {
  const [demote, promote] = [vector(0x5e, 1), vector(0x5f, 1)];
  for (const [[x], [y]] of laneSets(64, 1)) {
    const found = Array.from(new Uint32Array(demote(BigUint64Array.of(x, y))), BigInt);
    assert.deepEqual(found, [...[x, y].map((each) => expectedBits(32, toNumber[64](each))), 0n, 0n]);
  }
  for (const [[x], [y]] of laneSets(32, 1)) {
    const found = Array.from(new BigUint64Array(promote(Uint32Array.of(Number(x), Number(y), 1, 2))));
    assert.deepEqual(found, [x, y].map((each) => expectedBits(64, toNumber[32](each))));
  }
});

test("bits that the specification fixes are left alone: abs, neg, copysign, reinterpret, load and store", () => {
  const sign = { 32: 1n << 31n, 64: 1n << 63n };
  for (const [width, abs, neg, copysign] of [[32, 0x8b, 0x8c, 0x98], [64, 0x99, 0x9a, 0xa6]]) {
    const mask = sign[width];
    for (const x of OPERANDS[width]) {
      assert.equal(scalar(abs, width, 1)(x), x & ~mask);
      assert.equal(scalar(neg, width, 1)(x), x ^ mask);
      assert.equal(scalar(0x01, width, 1)(x), x);
      assert.equal(scalar(copysign, width, 2)(x, mask), x | mask);
    }
  }
});

test("the sign of a made NaN is the canonical one where sign instructions look at it", () => {
  const make = [get(0), get(0), 0xa3];
  const bytes = assemble({
    types: [[[F64], [I64]], [[F64], [F64]]],
    functions: [
      { code: [make, 0x9a, 0xbd], export: "neg" },
      { code: [0x44, [0, 0, 0, 0, 0, 0, 0xf0, 0x3f], make, 0xa6, 0xbd], export: "copysign" },
    ],
  });
  const { neg, copysign } = run(instrument(bytes, { kind: "main" }).bytes);
  assert.equal(hex(BigInt.asUintN(64, neg(0))), hex(0xfff8000000000000n));
  assert.equal(hex(BigInt.asUintN(64, copysign(0))), hex(0x3ff0000000000000n));
});

test("the table names as makers exactly the instructions tested here", () => {
  const tested = new Set([0xb6, 0xbb, 0x25e, 0x25f]);
  for (const [code32, code64, vector32, vector64] of Object.values(OPERATIONS)) {
    for (const code of [code32, code64, 0x200 + vector32, 0x200 + vector64]) tested.add(code);
  }
  const named = new Set([...makesNan.keys()].filter((code) => makesNan[code] !== 0));
  assert.deepEqual([...named].sort(), [...tested].sort());
});
