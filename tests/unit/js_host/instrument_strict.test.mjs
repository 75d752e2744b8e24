// What the instrumenter refuses, where it says the fault is, and that nothing malformed gets through.

import assert from "node:assert/strict";
import { test } from "node:test";

import { admitOnly } from "../../../js_host/instrument/admission.mjs";
import { ByteReader, ByteWriter, WasmError } from "../../../js_host/instrument/bytes.mjs";
import { instrument } from "../../../js_host/instrument/instrument.mjs";
import { FuelMeter } from "../../../js_host/instrument/meter.mjs";
import { immediateOf } from "../../../js_host/instrument/opcodes.mjs";
import { randomModule } from "./random_wasm.mjs";
import { assemble, block, br, call, DROP, EMPTY, get, I32, i32, I64, s64, u32 } from "./wasm_assembly.mjs";

const types = [[[], []], [[I32], [I32]]];
const body = (...code) => assemble({ types, memory: 1, functions: [{ locals: [I32], code }] });
const refuses = (bytes, problem, kind = "main") => assert.throws(() => instrument(bytes, { kind }), (error) => {
  assert.ok(error instanceof WasmError, String(error.stack));
  assert.match(error.message, problem);
  return true;
});

test("what lies outside the profile is refused by name, with the place", () => {
  refuses(body(0xfd, u32(0x100)), /^relaxed SIMD is not in the profile, opcode 0xfd 256 at offset 0x[0-9a-f]+$/);
  refuses(body(0xfe, 0x10, 2, 0), /^threads is not in the profile, opcode 0xfe at offset 0x/);
  refuses(body(i32(1), 0x40, 0, DROP), /^memory\.grow is not in the profile/);
  refuses(body(0x12, 0), /^tail calls/);
  refuses(body(0x1f, EMPTY, 0), /^exception handling with exnref/);
  refuses(body(0xfb, 0), /^GC/);
  refuses(body(0x14, 0), /^function references/);
  refuses(body(0xfc, 18), /^unknown opcode 0xfc 18 at/);
  refuses(body(0xfd, u32(0x9a)), /^unknown opcode 0xfd 154 at/);
  refuses(body(0x27), /^unknown opcode 0x27 at/);
  refuses(body(0xff), /^unknown opcode 0xff at/);
});

test("every opcode that is not in the table is refused", () => {
  for (let opcode = 0; opcode < 0x100; opcode++) {
    if (opcode === 0xfc || opcode === 0xfd || immediateOf[opcode] !== 0) continue;
    refuses(body(opcode, 0, 0, 0), /not in the profile|unknown opcode/);
  }
});

test("the offset is that of the opcode", () => {
  const bytes = body(get(0), DROP, 0xff);
  const at = bytes.lastIndexOf(0xff);
  refuses(bytes, new RegExp(`at offset 0x${at.toString(16)}$`));
});

test("special memories, tables, types and sections are refused", () => {
  refuses(assemble({ types, imports: [["env", "memory", "memory", [3, 1, 2]]] }), /shared, 64-bit/);
  refuses(assemble({ types, imports: [["env", "memory", "memory", [4, 1]]] }), /shared, 64-bit/);
  refuses(assemble({ types, tables: [[0x64, 0, 0, 1]] }), /table type 0x64/);
  refuses(assemble({ types: [[[0x6e], []]] }), /value type 0x6e/);
  refuses(Uint8Array.of(...assemble({}), 14, 1, 0), /unknown section 14/);
  refuses(Uint8Array.of(...assemble({ types }), 1, 1, 0), /section 1 is repeated or out of order/);
  refuses(Uint8Array.of(0, 0x61, 0x73, 0x6d, 13, 0, 1, 0), /not a WebAssembly module/);
  refuses(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46), /not a WebAssembly module/);
});

test("indices, labels and blocks are checked", () => {
  refuses(body(call(9)), /index 9 is out of range/);
  refuses(body(get(7), DROP), /index 7 is out of range/);
  refuses(body(0x23, 0, DROP), /index 0 is out of range/);
  refuses(body(br(1)), /label is unknown/);
  refuses(body(block(br(2))), /label is unknown/);
  refuses(body(0x05), /blocks do not nest/);
  refuses(body([0x06, EMPTY, 0x19, 0x19, 0x0b]), /blocks do not nest/);
  refuses(body([0x02, EMPTY, 0x18, 0]), /blocks do not nest/);
  refuses(body([0x02, 0x60]), /block type/);
  refuses(body([0x02, ...s64(9), 0x0b]), /block type/);
  refuses(body(0x0b), /function goes on after its end/);
  refuses(body([0x02, EMPTY]), /unexpected end/);
  refuses(body(i32(0), 0x28, 0x42, 0, DROP), /another memory/);
});

test("numbers are read as the format has it: neither longer nor wider", () => {
  const read = (bytes, kind) => new ByteReader(Uint8Array.from(bytes))[kind]();
  assert.equal(read([0xff, 0xff, 0xff, 0xff, 0x0f], "u32"), 0xffffffff);
  assert.equal(read([0x80, 0x00], "u32"), 0);
  assert.equal(read([0x7f], "s32"), -1);
  assert.equal(read([0x80, 0x80, 0x80, 0x80, 0x78], "s32"), -(2 ** 31));
  assert.equal(read([0xff, 0xff, 0xff, 0xff, 0x0f], "s33"), 2 ** 32 - 1);
  assert.equal(read([0x40], "s33"), -64);
  for (const [bytes, kind] of [
    [[0xff, 0xff, 0xff, 0xff, 0x1f], "u32"], [[0x80, 0x80, 0x80, 0x80, 0x80, 0x00], "u32"],
    [[0xff, 0xff, 0xff, 0xff, 0x4f], "s32"], [[0x80, 0x80, 0x80, 0x80, 0x08], "s32"],
    [[...Array(9).fill(0x80), 0x01], "skipS64"], [Array(11).fill(0x80), "skipS64"], [[0x80], "u32"], [[], "u8"],
  ]) assert.throws(() => read(bytes, kind), WasmError, `${kind} ${bytes}`);
  assert.throws(() => new ByteReader(Uint8Array.of(1, 0xff)).name(), /UTF-8/);
});

test("numbers are written shortest and read back", () => {
  const writer = new ByteWriter(1);
  const numbers = [0, 1, 63, 64, 127, 128, 16384, 2 ** 31, 2 ** 32 - 1];
  for (const n of numbers) writer.u32(n);
  assert.deepEqual([...writer.view()], numbers.flatMap((n) => u32(n)));
  writer.clear();
  const signed = [0, -1, 63, 64, -64, -65, 2 ** 40, -(2 ** 40), Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER];
  for (const n of signed) writer.s64(n);
  assert.deepEqual([...writer.view()], signed.flatMap((n) => s64(n)));
});

test("a module that is cut anywhere, or has one byte changed, is refused or still valid", () => {
  const { plain } = randomModule(5, { handlers: true });
  for (let end = 0; end < plain.length; end += 1) {
    // Cut between sections it may be a module still, if a shorter one.
    try {
      const made = instrument(plain.subarray(0, end), { kind: "main" });
      assert.equal(WebAssembly.validate(made.bytes), WebAssembly.validate(plain.subarray(0, end)));
    } catch (error) {
      assert.ok(error instanceof WasmError, `${end}: ${error.stack}`);
    }
  }
  for (let at = 8; at < plain.length; at += 1) {
    const changed = plain.slice();
    changed[at] ^= 1 << at % 8;
    try {
      const made = instrument(changed, { kind: "main" });
      assert.equal(WebAssembly.validate(made.bytes), WebAssembly.validate(changed), `byte ${at}`);
    } catch (error) {
      assert.ok(error instanceof WasmError, `${at}: ${error.stack}`);
    }
  }
});

const dylink = [["dylink.0", []]];

test("side modules with JavaScript for the loader are refused", () => {
  for (const name of ["__em_js__f", "__start_em_asm", "__stop_em_asm", "__start_em_js"]) {
    const bytes = assemble({ types, custom: dylink, globals: [[I32, 0, i32(64)]], exports: [[name, "global", 0]] });
    refuses(bytes, new RegExp(`carries JavaScript \\(export "${name}"\\)`), "side");
    instrument(bytes, { kind: "main" });
  }
  refuses(assemble({ custom: [...dylink, ["em_js", [1]]] }), /carries JavaScript \(section "em_js"\)/, "side");
});

test("nobody else names the counter", () => {
  const taken = /"__faas_[a-z]+" is a name of the instrumenter/;
  const imported = [["env", "__faas_fuel", "global", [I64, 1]]];
  refuses(assemble({ custom: dylink, imports: imported }), taken, "side");
  refuses(assemble({ custom: dylink, imports: [["GOT.mem", "__faas_other", "global", [I32, 1]]] }), taken, "side");
  refuses(assemble({ globals: [[I64, 1, [0x42, 0]]], exports: [["__faas_fuel", "global", 0]] }), taken);
});

test("no index reaches the counter that was added", () => {
  refuses(assemble({ exports: [["mine", "global", 0]] }), /global 0 does not exist/);
  refuses(assemble({ globals: [[I32, 0, [0x23, 1]]] }), /global 1 does not exist/);
  refuses(assemble({ types, functions: [{ code: [0x23, 0, DROP] }] }), /index 0 is out of range/);
});

test("a side module begins with what the loader needs, and keeps it", () => {
  refuses(assemble({ types }), /begins with section dylink\.0/, "side");
  refuses(assemble({ custom: [["name", []], ...dylink] }), /begins with section dylink\.0/, "side");
  const made = instrument(assemble({ custom: [["dylink.0", [1, 2, 3]], ["name", [9]], ["producers", []]] }), { kind: "side" });
  const sections = (name) => WebAssembly.Module.customSections(new WebAssembly.Module(made.bytes), name).map((s) => [...new Uint8Array(s)]);
  assert.deepEqual(sections("dylink.0"), [[1, 2, 3]]);
  assert.deepEqual(sections("name"), []);
  assert.throws(() => instrument(assemble({}), { kind: "other" }), TypeError);
});

test("instrumented modules cannot be instrumented again by mistake", () => {
  refuses(instrument(assemble({ types }), { kind: "main" }).bytes, /name of the instrumenter/);
});

test("the meter fills, charges and says what was spent", () => {
  const counter = new WebAssembly.Global({ value: "i64", mutable: true }, 0n);
  const meter = new FuelMeter(counter);
  meter.fill(100);
  counter.value -= 30n;
  assert.deepEqual([meter.spent, meter.isExhausted], [30, false]);
  meter.charge(70);
  assert.deepEqual([meter.spent, meter.isExhausted], [100, false]);
  assert.throws(() => meter.charge(5), WebAssembly.RuntimeError);
  assert.deepEqual([meter.spent, meter.isExhausted], [100, true]);
  for (const wrong of [-1, 0.5, 2 ** 53, NaN]) assert.throws(() => meter.fill(wrong), RangeError);
});

test("admission: side modules by their digest only, thunks freely, and no other way to compile", () => {
  const realm = {
    Module: class extends WebAssembly.Module {}, CompileError: WebAssembly.CompileError,
    compile() {}, instantiate() {}, compileStreaming() {}, instantiateStreaming() {},
  };
  const side = assemble({ types, custom: dylink });
  const other = assemble({ types: [...types, types[0]], custom: dylink });
  const digest = (bytes) => `length ${bytes.length}`;
  admitOnly(realm, [digest(side)], digest);
  assert.ok(new realm.Module(side) instanceof realm.Module);
  assert.ok(new realm.Module(side.buffer) instanceof WebAssembly.Module);
  assert.throws(() => new realm.Module(other), WebAssembly.CompileError);
  assert.ok(new realm.Module(assemble({ types })));
  assert.throws(() => new realm.Module(Uint8Array.of(...assemble({}), 0, ...u32(5002), 1, 0x61, ...Array(5000).fill(0))), WebAssembly.CompileError);
  assert.throws(() => new (Object.getPrototypeOf(new realm.Module(side)).constructor)(other), WebAssembly.CompileError);
  assert.deepEqual(Object.keys(realm).sort(), ["CompileError", "Module"]);
  assert.deepEqual(realm.Module.customSections(new realm.Module(side), "dylink.0").length, 1);
  assert.throws(() => {
    realm.Module = WebAssembly.Module;
  }, TypeError);
});
