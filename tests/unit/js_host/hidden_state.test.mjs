import assert from "node:assert/strict";
import { test } from "node:test";

import { keepsState } from "../../../js_host/instrument/hidden_state.mjs";
import { readModule } from "../../../js_host/instrument/module_reader.mjs";
import { assemble, I32 } from "./wasm_assembly.mjs";

const [CALL, GET, SET, REF_FUNC, DROP, CONST] = [0x10, 0x23, 0x24, 0xd2, 0x1a, 0x41];
const MUTABLE = [I32, 1];
const OWN = { globals: [[I32, true, [CONST, 0]]] };

const keeps = (parts) => keepsState(readModule(assemble({ types: [[[], []]], ...parts })));
const setting = (global) => ({ type: 0, code: [GET, global, SET, global] });

test("a module that sets nothing, or the stack pointer, keeps nothing", () => {
  const imports = [["GOT.mem", "x", "global", MUTABLE], ["env", "__stack_pointer", "global", MUTABLE]];
  assert.equal(keeps({ functions: [{ type: 0, code: [] }] }), false);
  assert.equal(keeps({ imports, functions: [setting(1)] }), false);
});

test("its own globals keep state, and those that the loader has for it, whatever their names", () => {
  assert.equal(keeps({ ...OWN, functions: [setting(0)] }), true);
  assert.equal(keeps({ imports: [["GOT.mem", "x", "global", MUTABLE]], functions: [setting(0)] }), true);
  assert.equal(keeps({ imports: [["GOT.mem", "__stack_pointer", "global", MUTABLE]], functions: [setting(0)] }), true);
});

test("what the start function sets stays, unless it can run again", () => {
  const nothing = { type: 0, code: [] };
  assert.equal(keeps({ ...OWN, functions: [setting(0), nothing], start: 0 }), false);
  assert.equal(keeps({ ...OWN, functions: [{ ...setting(0), export: "again" }, nothing], start: 0 }), true);
  assert.equal(keeps({ ...OWN, functions: [setting(0), { type: 0, code: [CALL, 0] }], start: 0 }), true);
  assert.equal(keeps({ ...OWN, functions: [setting(0), { type: 0, code: [REF_FUNC, 0, DROP] }], start: 0 }), true);
  const inTable = { tables: [[0x70, 0, 1]], elements: [[0, CONST, 0, 0x0b, 1, 0]] };
  assert.equal(keeps({ ...OWN, ...inTable, functions: [setting(0), nothing], start: 0 }), true);
});

test("a memory of its own is compared with nothing", () => {
  const nothing = { type: 0, code: [] };
  assert.equal(keeps({ memory: 1, functions: [nothing] }), true);
  assert.equal(keeps({ imports: [["env", "memory", "memory", [0, 1]]], functions: [nothing] }), false);
});
