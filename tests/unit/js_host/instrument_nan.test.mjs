// Where NaNs are made canonical: every way in which a program can look at bits, and the places that need no work.

import assert from "node:assert/strict";
import { test } from "node:test";

import { instrument } from "../../../js_host/instrument/instrument.mjs";
import {
  assemble, at, block, br, brIf, call, DROP, F64, f64, get, i32, I32, I64, loop, RETURN, run, SELECT, set, SUB, tee,
} from "./wasm_assembly.mjs";

const [ADD, DIV, MUL, EQ, ABS, TO_BITS] = [0xa0, 0xa3, 0xa2, 0x61, 0x99, 0xbd];
const PAYLOAD = 0x7ff800000badf00dn;
const CANONICAL = 0x7ff8000000000000n;
/** A NaN with other bits than the canonical on every machine: arithmetic keeps an operand's payload, or may. */
const LOOSE = [get(0), f64(PAYLOAD), ADD];

const types = [[[F64], [I64]], [[F64], [F64]], [[], []], [[F64], []]];
const make = (functions, rest = {}) => {
  const made = instrument(assemble({ types, functions, ...rest }), { kind: "main" });
  return { ...run(made.bytes), report: made.report };
};
const unsigned = (bits) => BigInt.asUintN(64, bits);

/** Way of looking at the loose value on the operand stack: leaves its bits as i64. */
const WAYS = {
  reinterpret: { code: [LOOSE, TO_BITS] },
  "store and load": { code: [i32(8), LOOSE, at(0x39), i32(8), at(0x29)], rest: { memory: 1 } },
  "through a local": { code: [LOOSE, set(1), get(1), TO_BITS] },
  "through two locals": { code: [LOOSE, set(1), get(1), set(2), get(2), TO_BITS] },
  "through tee": { code: [LOOSE, tee(1), DROP, get(1), TO_BITS] },
  "the operand that stays after tee": { code: [LOOSE, tee(1), TO_BITS] },
  "a global": { code: [LOOSE, 0x24, 0, 0x23, 0, TO_BITS], rest: { globals: [[F64, 1, f64(0n)]] } },
  "an argument": { code: [LOOSE, call(1)], more: [{ code: [get(0), TO_BITS] }] },
  "a result": { code: [get(0), call(1), TO_BITS], more: [{ type: 1, code: [LOOSE] }] },
  "an early return": { code: [get(0), call(1), TO_BITS], more: [{ type: 1, code: [LOOSE, RETURN] }] },
  "a block's result": { code: [[0x02, F64, LOOSE, 0x0b], TO_BITS] },
  "a branch's value": { code: [[0x02, F64, LOOSE, br(0), 0x0b], TO_BITS] },
  "a conditional branch's value": { code: [[0x02, F64, LOOSE, i32(1), brIf(0), 0x0b], TO_BITS] },
  "both arms of if": { code: [i32(0), [0x04, F64, f64(0n), 0x05, LOOSE, 0x0b], TO_BITS] },
  "the first choice of select": { code: [LOOSE, f64(0n), i32(1), SELECT, TO_BITS] },
  "the second choice of select": { code: [f64(0n), LOOSE, i32(0), SELECT, TO_BITS] },
  "an exception": { code: [[0x06, F64, LOOSE, 0x08, 0, 0x07, 0, 0x0b], TO_BITS], rest: { tags: [3] } },
  "a local that a handler reads": {
    code: [[0x06, 0x40, LOOSE, set(1), f64(0n), 0x08, 0, 0x07, 0, DROP, 0x0b], get(1), TO_BITS], rest: { tags: [3] },
  },
  "a local after a branch": { code: [block(LOOSE, set(1), i32(1), brIf(0), f64(0n), set(1)), get(1), TO_BITS] },
  "a local after if without else": { code: [LOOSE, set(1), i32(0), [0x04, 0x40, f64(0n), set(1), 0x0b], get(1), TO_BITS] },
  "a local from the round before": {
    code: [i32(3), set(3), loop(i32(8), get(1), at(0x39), LOOSE, set(1), get(3), i32(1), SUB, tee(3), brIf(0)), i32(8), at(0x29)],
    rest: { memory: 1 },
  },
  "underneath other operands": { code: [i32(8), LOOSE, get(0), get(0), EQ, DROP, at(0x39), i32(8), at(0x29)], rest: { memory: 1 } },
  "copysign's first operand": { code: [LOOSE, f64(0n), 0xa6, TO_BITS] },
  "absolute value": { code: [LOOSE, ABS, TO_BITS] },
};

for (const [way, { code, more = [], rest = {} }] of Object.entries(WAYS)) {
  test(`seen by ${way}`, () => {
    const { f } = make([{ locals: [F64, F64, I32], code, export: "f" }, ...more], rest);
    assert.equal(unsigned(f(1)).toString(16), CANONICAL.toString(16));
  });
}

/** Exact bits that only pass must not change. */
const PASSES = {
  "a loaded NaN": [get(0), DROP, i32(8), f64(PAYLOAD), at(0x39), i32(8), at(0x2b), TO_BITS],
  "a constant": [f64(PAYLOAD), TO_BITS],
  "a local that also holds made NaNs": [LOOSE, set(1), f64(PAYLOAD), set(1), get(1), TO_BITS],
  "a local that may hold either": [
    f64(PAYLOAD), set(1), block(i32(1), brIf(0), LOOSE, set(1)), get(1), TO_BITS,
  ],
  "a copy of a local that may hold either": [
    f64(PAYLOAD), set(1), block(i32(1), brIf(0), LOOSE, set(1)), block(i32(0), brIf(0), get(1), set(2)), get(2), TO_BITS,
  ],
  "the other choice of select": [LOOSE, f64(PAYLOAD), i32(0), SELECT, TO_BITS],
};

for (const [what, code] of Object.entries(PASSES)) {
  test(`keeps its bits: ${what}`, () => {
    const { f } = make([{ locals: [F64, F64], code, export: "f" }], { memory: 1 });
    assert.equal(unsigned(f(1)).toString(16), PAYLOAD.toString(16));
  });
}

test("keeps its bits: an argument in a local that is assigned a made NaN elsewhere", () => {
  const { f } = make([
    { code: [f64(PAYLOAD), call(1)], export: "f" },
    // The loop makes assigning look dearer than reading.
    { code: [block(i32(1), brIf(0), loop(get(0), get(0), ADD, set(0))), get(0), TO_BITS] },
  ]);
  assert.equal(unsigned(f(1)), PAYLOAD);
});

const sitesOf = (code, locals = [F64, F64, I32]) => {
  const { report } = instrument(assemble({ types, memory: 1, functions: [{ locals, code }] }), { kind: "main" });
  return `${report.nan_sites} of ${report.nan_makers}`;
};

test("a chain of arithmetic needs one place, a comparison none", () => {
  assert.equal(sitesOf([get(0), get(0), MUL, get(0), get(0), MUL, ADD, 0x9f, TO_BITS]), "1 of 4");
  assert.equal(sitesOf([get(0), get(0), DIV, get(0), EQ, 0xac]), "0 of 1");
  assert.equal(sitesOf([get(0), get(0), DIV, 0xb0]), "0 of 1");
  assert.equal(sitesOf([get(0), get(0), DIV, DROP, 0x42, 0]), "0 of 1");
});

test("a sum that runs through a loop is made canonical once, behind it", () => {
  const round = [get(1), get(0), get(0), MUL, ADD, set(1), get(3), i32(1), SUB, tee(3), brIf(0)];
  const code = [loop(round), get(1), TO_BITS];
  assert.equal(sitesOf(code), "1 of 2");
  const before = assemble({ types, functions: [{ locals: [F64, F64, I32], code, export: "f" }] });
  const { bytes } = instrument(before, { kind: "main", fuel: false });
  // Up to the end of the loop nothing was written in between.
  const text = (list) => Buffer.from(list.flat(Infinity)).toString("hex");
  assert.ok(Buffer.from(bytes).toString("hex").includes(text([loop(round), get(1)])));
});

test("f32 and f64 do not hide each other's bits: promotion reads as NaN, storing does not", () => {
  const code = [get(0), 0xb6, 0xbb, TO_BITS];
  const { f, report } = make([{ code, export: "f" }]);
  assert.equal(report.nan_sites, 1);
  assert.equal(unsigned(f(NaN)), CANONICAL);
  assert.equal(sitesOf([i32(0), get(0), 0xb6, at(0x38), 0x42, 0], []), "1 of 1");
});
