// Fuel, to the unit: hand-made functions with what they must cost, what happens when it runs out, and who may touch it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SLACK } from "../../../js_host/instrument/fuel_plan.mjs";
import { instrument } from "../../../js_host/instrument/instrument.mjs";
import { FULL_TANK, FUEL_NAME } from "../../../js_host/instrument/section_writers.mjs";
import {
  ADD, assemble, at, block, br, brIf, brTable, call, DROP, EMPTY, EQZ, get, i32, I32, I64, i64, loop, NOP, RETURN, run,
  s64, set, SUB, tee, u32, UNREACHABLE, when,
} from "./wasm_assembly.mjs";

const types = [[[I32], []], [[I32], [I32]], [[I32], [I32, I32]], [[], []]];
const make = (functions, rest = {}) =>
  run(instrument(assemble({ types, functions: [].concat(functions), ...rest }), { kind: "main" }).bytes);
const spent = ({ [FUEL_NAME]: fuel }) => FULL_TANK - Number(fuel.value);

/** Fuel that f(argument) costs. */
function cost(code, argument = 0, { more = [], rest = {}, locals = [I32, I32] } = {}) {
  const exports = make([{ locals, code, export: "f" }, ...more], rest);
  exports.f(argument);
  return spent(exports);
}

/** `n` additions to local 1: n units. */
const work = (n) => Array.from({ length: n }, () => [get(1), get(1), ADD, set(1)]);
/** while (--local 0 > 0): 3 units a round. */
const again = [get(0), i32(1), SUB, tee(0), i32(0), 0x4a, brIf(0)];

const CASES = [
  ["nothing", [], 0, 0],
  ["moves and constants are free", [get(0), set(1), i32(5), DROP, NOP, block(), 0x42, 0, DROP], 0, 0],
  ["one unit for each operation", work(7), 0, 7],
  ["eight for a division", [get(0), i32(1), 0x6d, DROP], 0, 8],
  ["a load and a store", [i32(0), i32(0), at(0x28), at(0x36)], 0, 2, { rest: { memory: 1 } }],
  ["a loop pays each round", [loop(work(2), again)], 5, 5 * 5],
  ["a loop that is entered once", [loop(work(4))], 0, 4],
  ["work before and after a loop is paid once", [work(3), loop(work(2), again), work(4)], 5, 3 + 5 * 5 + 4],
  ["loops in loops", [loop(i32(3), set(2), loop(work(1), get(2), i32(1), SUB, tee(2), brIf(0)), again)], 4, 4 * (3 + 3 * 3)],
  ["if pays for its longer arm", [get(0), when(work(2), work(9))], 1, 1 + 9],
  ["if pays for its longer arm, the other way", [get(0), when(work(2), work(9))], 0, 1 + 9],
  ["if without else", [get(0), when(work(5))], 0, 1 + 5],
  ["a branch over work", [block(get(0), brIf(0), work(6))], 1, 1 + 6],
  ["an arm longer than the slack pays for itself: taken", [get(0), when(work(SLACK + 1))], 1, 1 + SLACK + 1],
  ["an arm longer than the slack pays for itself: not taken", [get(0), when(work(SLACK + 1))], 0, 1],
  ["a long else pays for itself, besides the other arm: taken", [get(0), when(work(1), work(SLACK + 5))], 0, 1 + 1 + SLACK + 5],
  ["a long else pays for itself: not taken", [get(0), when(work(1), work(SLACK + 5))], 1, 1 + 1],
  ["what follows a conditional branch pays for itself", [block(get(0), brIf(0), work(SLACK + 1))], 1, 1],
  ["a long end that several ways reach is paid once", [block(get(0), brIf(0), work(3)), work(SLACK + 8)], 1, 1 + 3 + SLACK + 8],
  ["an early return does not pay for what it skips, if that is long", [get(0), when([RETURN]), work(50)], 1, 1 + 1],
  ["an early return is cheaper to pay for than to tell apart", [get(0), when([RETURN]), work(20)], 1, 1 + 20],
  ["a branch out of two loops", [block(loop(loop(work(2), br(2)))), work(5)], 0, 3 + 5],
  ["a conditional branch out of a loop", [block(loop(work(2), get(0), EQZ, brIf(1), get(0), i32(1), SUB, set(0), br(0))), work(5)], 3, 4 * 6 + 5],
  ["code that is never reached costs nothing", [br(0), work(9)], 0, 1],
  ["unreachable after endless loops costs its unit", [block(loop(br(1)), UNREACHABLE)], 0, 1 + 1],
];

for (const [what, code, argument, expected, options] of CASES) {
  test(`cost: ${what}`, () => assert.equal(cost(code, argument, options), expected));
}

test("cost: br_table pays for its longest arm, and long arms for themselves", () => {
  const code = [block(block(block(get(0), brTable([0, 1], 2)), work(4), br(1)), work(SLACK + 2)), work(1)];
  assert.equal(cost(code, 0), 1 + 4 + 1 + 1);
  assert.equal(cost(code, 1), 1 + 4 + 1 + 1 + (SLACK + 2 + 1));
  assert.equal(cost(code, 9), 1 + 4 + 1 + 1);
});

test("cost: calls, direct and through the table, and recursion", () => {
  const callee = { type: 0, locals: [I32], code: work(4) };
  assert.equal(cost([get(0), call(1)], 0, { more: [callee] }), 3 + 4);
  const table = { tables: [[0x70, 0, 2]], elements: [[0, i32(0), 0x0b, u32(1), u32(1)]] };
  assert.equal(cost([get(0), i32(0), 0x11, 0, 0], 0, { more: [callee], rest: table }), 6 + 4);
  const countdown = [get(0), when([get(0), i32(1), SUB, call(0)])];
  assert.equal(cost(countdown, 9, { locals: [] }), 10 * 5);
});

test("cost: several values and block parameters", () => {
  const two = { type: 2, code: [get(0), get(0), ADD, get(0)] };
  const code = [get(0), call(1), ADD, DROP];
  assert.equal(cost(code, 1, { more: [two] }), 3 + 1 + 1);
  const parameters = [get(0), [0x03, ...s64(1), i32(1), SUB, tee(1), get(1), brIf(0), 0x0b], DROP];
  assert.equal(cost(parameters, 4), 4 * 2);
});

test("cost: memory and table operations pay by size, before they run", () => {
  const rest = { memory: 1, data: [[1, u32(64), Array(64).fill(7)]] };
  const fill = [i32(0), i32(1), get(0), 0xfc, 11, 0];
  const copy = [i32(0), i32(8), get(0), 0xfc, 10, 0, 0];
  const init = [i32(0), i32(0), get(0), 0xfc, 8, 0, 0];
  for (const code of [fill, copy]) {
    assert.equal(cost(code, 0, { rest }), 1);
    assert.equal(cost(code, 15, { rest }), 1);
    assert.equal(cost(code, 4096, { rest }), 1 + 256);
  }
  assert.equal(cost(init, 64, { rest }), 1 + 4);
  const tables = { tables: [[0x70, 0, 40]] };
  assert.equal(cost([i32(0), 0xd0, 0x70, get(0), 0xfc, 17, 0], 30, { rest: tables }), 1 + 30);
  assert.equal(cost([i32(0), i32(5), get(0), 0xfc, 14, 0, 0], 30, { rest: tables }), 1 + 30);
  assert.equal(cost([0xd0, 0x70, get(0), 0xfc, 15, 0, DROP], 30, { rest: tables }), 1 + 30);
  const exports = make([{ code: fill, export: "f" }], { memory: 1 });
  exports[FUEL_NAME].value = 100n;
  assert.throws(() => exports.f(65536), WebAssembly.RuntimeError);
  assert.ok(exports[FUEL_NAME].value < 0n);
  assert.equal(new Uint8Array(exports.memory.buffer)[0], 0, "the bytes were filled before they were paid for");
});

test("cost: a size counts as unsigned", () => {
  const exports = make([{ code: [i32(0), i32(1), get(0), 0xfc, 11, 0], export: "f" }], { memory: 1 });
  assert.throws(() => exports.f(-16), WebAssembly.RuntimeError);
  assert.equal(spent(exports), 1 + 2 ** 28 - 1);
});

const tags = [0];
const thrown = [i32(1), 0x08, 0];

test("cost: exceptions", () => {
  const rest = { tags };
  const caught = [0x06, EMPTY, work(3), thrown, 0x07, 0, DROP, work(5), 0x0b, work(7)];
  // A handler pays where it begins, for all up to the end.
  assert.equal(cost(caught, 0, { rest }), 3 + 1 + 5 + 7);
  const all = [0x06, EMPTY, work(3), thrown, 0x19, work(5), 0x0b, work(7)];
  assert.equal(cost(all, 0, { rest }), 3 + 1 + 5 + 7);
  const passed = [0x06, EMPTY, work(3), 0x07, 0, DROP, work(5), 0x0b, work(7)];
  assert.equal(cost(passed, 0, { rest }), 3 + 7);
  const delegated = [0x06, EMPTY, [0x06, EMPTY, work(2), thrown, 0x18, 0], work(9), 0x19, work(5), 0x0b, work(7)];
  assert.equal(cost(delegated, 0, { rest }), 2 + 1 + 5 + 7);
  const again = [0x06, EMPTY, [0x06, EMPTY, work(2), thrown, 0x19, work(4), 0x09, 0, 0x0b], 0x19, work(5), 0x0b, work(7)];
  assert.equal(cost(again, 0, { rest }), 2 + 1 + (4 + 1) + 5 + 7);
  const fromCallee = [0x06, EMPTY, get(0), call(1), work(9), 0x19, work(5), 0x0b];
  assert.equal(cost(fromCallee, 0, { rest, more: [{ locals: [I32], code: [work(6), thrown] }] }), 3 + 9 + 6 + 1 + 5);
});

test("running out traps, whatever loops, recursion and handlers there are, and always at the same count", () => {
  const endless = {
    "a loop": [loop(work(3), br(0))],
    "an empty loop": [loop(br(0))],
    "a loop with calls": [loop(get(0), call(1), br(0))],
    "recursion": [get(0), call(0)],
    "loops in a loop": [loop(loop(again), i32(3), set(0), br(0))],
    "a loop around handlers": [loop([0x06, EMPTY, thrown, 0x19, 0x0b], br(0))],
    "a loop inside a handler of everything": [0x06, EMPTY, loop(work(3), br(0)), 0x19, 0x0b],
  };
  for (const [what, code] of Object.entries(endless)) {
    const left = [1, 2].map(() => {
      const exports = make([{ locals: [I32], code, export: "f" }, { code: [] }], { tags });
      exports[FUEL_NAME].value = 5000n;
      assert.throws(() => exports.f(3), WebAssembly.RuntimeError, what);
      return exports[FUEL_NAME].value;
    });
    assert.ok(left[0] < 0n && left[0] >= -100n, `${what}: ${left[0]}`);
    assert.equal(left[0], left[1]);
  }
});

test("once it is out, nothing that calls or loops runs again until the host gives more", () => {
  const exports = make([{ locals: [I32], code: [loop(again)], export: "f" }, { code: [get(0), call(0)], export: "g" }]);
  exports[FUEL_NAME].value = 10n;
  for (const name of ["f", "f", "g"]) assert.throws(() => exports[name](1000), WebAssembly.RuntimeError);
  exports[FUEL_NAME].value = 100n;
  exports.f(3);
  assert.equal(exports[FUEL_NAME].value, 100n - 9n);
});

test("exactly enough is enough", () => {
  const exports = make([{ locals: [I32], code: [loop(work(2), again)], export: "f" }]);
  exports[FUEL_NAME].value = 25n;
  exports.f(5);
  assert.equal(exports[FUEL_NAME].value, 0n);
  exports[FUEL_NAME].value = 24n;
  assert.throws(() => exports.f(5), WebAssembly.RuntimeError);
  assert.equal(exports[FUEL_NAME].value, -1n);
});

test("a side module spends from the main module's counter, and its own globals are where they were", () => {
  const dylink = [["dylink.0", []]];
  const side = assemble({
    types, custom: dylink,
    imports: [["env", "base", "global", [I32, 0]], ["env", "memory", "memory", [0, 1]]],
    globals: [[I32, 1, i32(40)], [I32, 0, [0x23, 0]], [I64, 1, i64(-3)]],
    tables: [[0x70, 0, 8]],
    elements: [[0, 0x23, 0, 0x0b, u32(1), u32(0)]],
    data: [[0, 0x23, 0, 0x0b, u32(2), [11, 22]]],
    exports: [["own", "global", 2], ["table", "table", 0]],
    functions: [{ type: 1, locals: [I32], code: [work(2), 0x23, 1, 0x23, 2, ADD, 0x24, 1, 0x23, 1], export: "f" }],
  });
  const main = make([{ code: [], export: "f" }], { memory: 1 });
  const env = { base: 4, memory: main.memory, [FUEL_NAME]: main[FUEL_NAME] };
  const exports = run(instrument(side, { kind: "side" }).bytes, { env });
  assert.equal(exports.f(0), 44);
  assert.equal(exports.f(0), 48);
  assert.equal(exports.own.value, 4);
  assert.equal(exports.table.get(4), exports.f);
  assert.deepEqual([...new Uint8Array(main.memory.buffer, 4, 2)], [11, 22]);
  assert.equal(spent(main), 2 * 7);
});

test("an import that is a global keeps its index where the counter is added", () => {
  const module = assemble({
    types: [[[], [I32]]], imports: [["env", "a", "global", [I32, 0]], ["env", "b", "global", [I32, 0]]],
    globals: [[I32, 0, i32(7)]], functions: [{ code: [0x23, 1, 0x23, 2, ADD], export: "f" }],
  });
  assert.equal(run(instrument(module, { kind: "main" }).bytes, { env: { a: 1, b: 20 } }).f(), 27);
});
