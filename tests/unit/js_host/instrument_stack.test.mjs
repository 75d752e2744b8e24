// The guest's stack ends before the host's: who takes of it, how much, and that it is given back on every way out.

import assert from "node:assert/strict";
import { test } from "node:test";

import { instrument } from "../../../js_host/instrument/instrument.mjs";
import { STACK_LIMIT } from "../../../js_host/instrument/stack_plan.mjs";
import {
  ADD, assemble, block, br, brIf, brTable, call, DROP, EMPTY, get, I32, i32, loop, RETURN, run, STACK_EXPORTS,
  STACK_GLOBALS, STACK_HIGH, SUB, tee, u32, UNREACHABLE, when,
} from "./wasm_assembly.mjs";

const types = [[[I32], []], [[I32], [I32]], [[I32], [I32, I32]], [[], []]];
const POINTER = 0;
const pointer = () => [0x23, POINTER];
const setPointer = [0x24, POINTER];
/** call_indirect of the function at table index 0. */
const callTable = (type) => [i32(0), 0x11, u32(type), 0];
const table = { tables: [[0x70, 0, 2]], elements: [[0, i32(0), 0x0b, u32(1), u32(0)]] };

function make(functions, rest = {}) {
  const exports = STACK_EXPORTS.map((name, i) => [name, "global", i]);
  const module = assemble({ types, functions, globals: STACK_GLOBALS, exports, ...rest });
  return run(instrument(module, { kind: "main" }).bytes);
}

/** What the stack pointer is while f runs, as a global of its own that f sets. */
const SPY = { globals: [...STACK_GLOBALS, [I32, 1, i32(0)]], exports: [...STACK_EXPORTS.map((name, i) => [name, "global", i]), ["spy", "global", 2]] };
const spy = [pointer(), 0x24, 2];

const depthOf = (exports) => {
  let depth = 0;
  // Each call from outside begins with the whole stack; the deepest that holds is found by halving.
  for (let step = 1 << 12; step > 0; step >>= 1) {
    exports.__stack_pointer.value = STACK_HIGH;
    try {
      exports.f(depth + step);
      depth += step;
    } catch (error) {
      assert.ok(error instanceof WebAssembly.RuntimeError, String(error));
    }
  }
  return depth;
};

test("recursion ends where the guest's stack does, by direct calls and through the table", () => {
  const room = (STACK_HIGH - STACK_LIMIT) / 16;
  const down = (again) => [get(0), when([get(0), i32(1), SUB, again])];
  assert.equal(depthOf(make([{ code: down(call(0)), export: "f" }])), room - 1);
  assert.equal(depthOf(make([{ code: down(callTable(0)), export: "f" }], table)), room - 1);
});

test("many locals take more, since the host's frame is larger", () => {
  const down = [get(0), when([get(0), i32(1), SUB, call(0)])];
  const many = make([{ locals: Array(60).fill(I32), code: down, export: "f" }]);
  assert.equal(depthOf(many), (STACK_HIGH - STACK_LIMIT) / 32 - 1);
});

test("a function with a frame of its own is checked, and takes no more", () => {
  const frame = [pointer(), i32(64), SUB, tee(1), setPointer];
  const code = [frame, get(0), when([get(0), i32(1), SUB, call(0)]), get(1), i32(64), ADD, setPointer];
  assert.equal(depthOf(make([{ locals: [I32], code, export: "f" }])), (STACK_HIGH - STACK_LIMIT) / 64 - 1);
});

test("a large frame is checked wherever it stands, a small one only where recursion passes", () => {
  for (const [size, traps] of [[256, false], [272, true]]) {
    const leaf = [pointer(), i32(-size), ADD, tee(1), setPointer, get(1), i32(size), ADD, setPointer];
    const exports = make([{ locals: [I32], code: leaf, export: "f" }]);
    exports.f(0);
    exports.__stack_pointer.value = STACK_LIMIT + 64;
    if (traps) assert.throws(() => exports.f(0), WebAssembly.RuntimeError);
    else exports.f(0);
  }
});

test("functions that recursion cannot pass take nothing", () => {
  const callee = { type: 0, code: spy };
  const { f, spy: seen } = make([{ code: [get(0), call(1)], export: "f" }, callee], SPY);
  f(1);
  assert.equal(seen.value, STACK_HIGH);
});

test("of a cycle through the table, the function whose address is taken pays, and not its helpers", () => {
  const helper = { code: [spy, get(0), when([get(0), i32(1), SUB, callTable(0)])] };
  const exports = make([{ code: [get(0), call(1)], export: "f" }, helper], { ...SPY, ...table });
  exports.f(3);
  assert.equal(exports.spy.value, STACK_HIGH - 4 * 16);
  assert.equal(exports.__stack_pointer.value, STACK_HIGH);
});

test("a cycle of several functions is counted in each; who leads there is not", () => {
  const to = (i) => ({ code: [spy, get(0), when([get(0), i32(1), SUB, call(i)])] });
  const exports = make([{ code: [get(0), call(1)], export: "f" }, to(2), to(3), to(1)], SPY);
  exports.f(4);
  assert.equal(exports.spy.value, STACK_HIGH - 5 * 16);
});

const WAYS_OUT = {
  "the end": [spy],
  return: [spy, get(0), when([get(0), i32(1), SUB, call(0), RETURN])],
  "return from a loop": [spy, loop(get(0), when([RETURN]), get(0), brIf(0))],
  "a branch to the function's own label": [spy, block(loop(get(0), brIf(2), br(1)))],
  br_table: [spy, block(block(get(0), brTable([0, 1], 2)))],
};
for (const [way, code] of Object.entries(WAYS_OUT)) {
  test(`what was taken is given back by ${way}`, () => {
    const recursive = [code, get(0), i32(-1), 0x46, when([get(0), call(0)])];
    const exports = make([{ code: recursive, export: "f" }], SPY);
    for (const argument of [0, 1, 2]) {
      exports.f(argument);
      assert.ok(exports.spy.value < STACK_HIGH, "the function is not counted");
      assert.equal(exports.__stack_pointer.value, STACK_HIGH);
    }
  });
}

test("results pass, one or several", () => {
  const one = { type: 1, code: [get(0), i32(-1), 0x46, when([get(0), call(1), RETURN]), get(0), i32(7), ADD], export: "g" };
  const code = [get(0), i32(5), 0x46, when([i32(1), i32(2), RETURN]), get(0), i32(9), 0x46, when([get(0), call(0), DROP, DROP]), get(0), get(0)];
  const exports = make([{ type: 2, code, export: "f" }, one]);
  assert.deepEqual(exports.f(5), [1, 2]);
  assert.deepEqual(exports.f(8), [8, 8]);
  assert.equal(exports.g(1), 8);
  assert.equal(exports.__stack_pointer.value, STACK_HIGH);
});

test("a handler puts the pointer back: what threw from below has not", () => {
  const thrower = { code: [get(0), when([get(0), i32(1), SUB, call(0)]), i32(1), 0x08, 0] };
  for (const handler of [[0x07, 0, DROP], [0x19]]) {
    const code = [0x06, EMPTY, get(0), call(0), handler, spy, 0x0b];
    const exports = make([thrower, { code, export: "f" }], { ...SPY, tags: [0] });
    exports.f(5);
    assert.equal(exports.spy.value, STACK_HIGH - 16);
    assert.equal(exports.__stack_pointer.value, STACK_HIGH);
  }
});

test("what is delegated to the caller still is, in the caller's terms", () => {
  const delegate = (label) => [0x06, EMPTY, i32(1), 0x08, 0, 0x18, label];
  const thrower = { code: [get(0), i32(9), 0x46, when([get(0), call(0)]), delegate(0)] };
  const code = [0x06, EMPTY, get(0), call(0), 0x07, 0, DROP, spy, 0x0b];
  const rest = { ...SPY, tags: [0] };
  const exports = make([thrower, { code, export: "f" }], rest);
  exports.f(5);
  assert.equal(exports.spy.value, STACK_HIGH - 16);
  const names = STACK_EXPORTS.map((name, i) => [name, "global", i]);
  const bytes = instrument(assemble({ types, functions: [thrower], globals: STACK_GLOBALS, exports: names, tags: [0] }), { kind: "main" }).bytes;
  // JavaScriptCore validates the target: label 1, behind the block that stands for the function.
  assert.ok(Buffer.from(bytes).includes(Buffer.from([0x08, 0, 0x18, 1])));
});

test("the end of the stack is a trap, which no handler catches", () => {
  const endless = { code: [get(0), call(0)] };
  const code = [0x06, EMPTY, get(0), call(0), 0x19, 0x0b];
  assert.throws(() => make([endless, { code, export: "f" }], { tags: [0] }).f(1), WebAssembly.RuntimeError);
});

const dylink = [["dylink.0", [1, 4, 0, 0, 0, 0]]];
test("a side module counts on the main module's stack, and is given the pointer if it has none", () => {
  const code = [get(0), when([get(0), i32(1), SUB, call(0)])];
  const side = assemble({ types, custom: dylink, functions: [{ code, export: "f" }] });
  const env = {
    __faas_fuel: new WebAssembly.Global({ value: "i64", mutable: true }, 1n << 40n),
    __stack_pointer: new WebAssembly.Global({ value: "i32", mutable: true }, STACK_HIGH),
  };
  const exports = run(instrument(side, { kind: "side" }).bytes, { env });
  assert.equal(depthOf({ ...exports, __stack_pointer: env.__stack_pointer }), (STACK_HIGH - STACK_LIMIT) / 16 - 1);
  const plain = assemble({ types, custom: dylink, functions: [{ code: [UNREACHABLE], export: "f" }] });
  const bytes = instrument(plain, { kind: "side" }).bytes;
  assert.deepEqual(WebAssembly.Module.imports(new WebAssembly.Module(bytes)).map(({ name }) => name), ["__faas_fuel"]);
});

test("a main module whose stack lies elsewhere is refused", () => {
  const globals = [STACK_GLOBALS[0], [I32, 0, i32(1024)]];
  assert.throws(() => make([{ code: [], export: "f" }], { globals }), /the stack ends at 1024/);
});
