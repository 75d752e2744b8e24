import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { PristineMemory, readBlocks, resetInstance } from "../../../js_host/pristine.mjs";
import { pageHashes, stateDigest } from "../../../js_host/state_digest.mjs";
import { TableWatch } from "../../../js_host/table_watch.mjs";

const BLOCK = 65536;
const IMAGE = Uint8Array.from({ length: 3 * BLOCK }, (_, i) => (i * 7) % 251);
const blocks = () => [0, 1, 2].map((i) => IMAGE.slice(i * BLOCK, (i + 1) * BLOCK));
const pristine = () => new PristineMemory(blocks(), pageHashes(IMAGE));

test("what is compared as changed is what was changed, to the page", () => {
  const memory = IMAGE.slice();
  const changes = [0, 4095, 4096, BLOCK - 1, 2 * BLOCK, 3 * BLOCK - 1];
  for (const at of changes) memory[at] ^= 1;
  assert.deepEqual(pristine().compare(memory), [0, 1, 15, 32, 47]);
});

test("the digest by pages is the digest of the whole, also of a memory that has grown", () => {
  for (const blocks of [3, 5]) {
    const memory = new Uint8Array(blocks * BLOCK);
    memory.set(IMAGE);
    memory[70_000] ^= 255;
    const image = pristine();
    assert.equal(image.digest(memory, image.compare(memory)), stateDigest(memory));
  }
});

test("reset leaves the image, byte for byte, and says so", () => {
  const [memory, image] = [IMAGE.slice(), pristine()];
  for (let at = 5; at < memory.length; at += 9001) memory[at] ^= 3;
  assert.equal(image.reset(memory, image.compare(memory)), true);
  assert.deepEqual(memory, IMAGE);
  assert.deepEqual(image.compare(memory), []);
});

test("the digest is right run after run, whatever the run before has left where", () => {
  const [memory, image] = [IMAGE.slice(), pristine()];
  const runs = [[5, 70_000, 2 * BLOCK], [5, 70_000], [70_000, 70_001], [], [5, 2 * BLOCK], [5, 70_000, 2 * BLOCK]];
  for (const [run, changes] of runs.entries()) {
    for (const at of changes) memory[at] ^= at === 5 ? run + 1 : 1; // one page is another every time, others are not
    const changed = image.compare(memory);
    assert.equal(image.digest(memory, changed), stateDigest(memory));
    assert.equal(image.reset(memory, changed), true);
    assert.deepEqual(memory, IMAGE);
  }
});

test("neighbours go back together, over the end of a block too", () => {
  const [memory, image] = [IMAGE.slice(), pristine()];
  memory.fill(1, BLOCK - 8192, BLOCK + 4096);
  memory[3 * BLOCK - 1] ^= 1;
  const changed = image.compare(memory);
  assert.deepEqual(changed, [14, 15, 16, 47]);
  const set = [];
  memory.set = (bytes, at) => {
    set.push([at, bytes.length]);
    Uint8Array.prototype.set.call(memory, bytes, at);
  };
  assert.equal(image.reset(memory, changed), true);
  assert.deepEqual(set, [[BLOCK - 8192, 8192], [BLOCK, 4096], [3 * BLOCK - 4096, 4096]]);
  assert.deepEqual(memory.slice(), IMAGE);
});

test("one page of many that is not taken back is enough", () => {
  for (const refused of [0, 1, 2]) {
    const [memory, image] = [IMAGE.slice(), pristine()];
    for (const at of [0, BLOCK, 2 * BLOCK]) memory[at] ^= 1;
    memory.set = (bytes, at) => at === refused * BLOCK || Uint8Array.prototype.set.call(memory, bytes, at);
    assert.equal(image.reset(memory, image.compare(memory)), false);
  }
});

test("an image is read in blocks, empty ones unread, and laid over whatever is there", () => {
  const folder = mkdtempSync(join(tmpdir(), "image-"));
  const image = new Uint8Array(7 * BLOCK);
  for (const i of [1, 2, 5]) image.set(IMAGE.subarray(0, BLOCK), i * BLOCK);
  writeFileSync(join(folder, "memory"), image);
  const fd = openSync(join(folder, "memory"), "r");
  try {
    const whole = new PristineMemory(readBlocks(fd, pageHashes(image)), pageHashes(image));
    assert.equal(whole.length, image.length);
    const memory = new Uint8Array(image.length);
    memory.fill(9, 0, 4 * BLOCK + 1);
    memory[7 * BLOCK - 1] = 9; // a module was loaded that writes where it has no business
    whole.layOver(memory);
    assert.deepEqual(memory, image);
    assert.deepEqual(whole.compare(memory), []);
  } finally {
    closeSync(fd);
    rmSync(folder, { recursive: true });
  }
});

test("a memory that has grown is not reset", () => {
  const memory = new Uint8Array(4 * BLOCK);
  const image = pristine();
  assert.equal(image.reset(memory, image.compare(memory)), false);
});

test("a memory that will not take the image back is not called pristine", () => {
  const memory = IMAGE.slice();
  memory[9] ^= 1;
  const image = pristine();
  const changed = image.compare(memory);
  memory.set = () => {};
  assert.equal(image.reset(memory, changed), false);
});

/** An instance with a table of three functions, one global and one table of references. */
function restored() {
  const wasm = new WebAssembly.Table({ element: "anyfunc", initial: 3 });
  const table = new TableWatch(wasm);
  const references = new WebAssembly.Table({ element: "externref", initial: 2 }, null);
  const Module = {
    freeTableIndexes: [2],
    LDSO: { loadedLibsByName: { __main__: {}, "/a.so": {} } },
    setWasmTableEntry: (slot, value) => wasm.set(slot, value),
  };
  const globals = { pointer: new WebAssembly.Global({ value: "i32", mutable: true }, 7) };
  const state = { globals: { pointer: 7 }, table: { free: [2] }, libraries: [{}] };
  const instance = { Module, globals, table, tables: { held: references }, references: { held: [null, null] } };
  return { instance, state, wasm, references, world: { hasLinked: false, gate: { wasTried: false } } };
}

const exported = () => {
  const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 4, 1, 2, 0, 11];
  return new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bytes))).exports.f;
};

test("globals, slots and the list of free slots go back", () => {
  const { instance, state, wasm, world } = restored();
  instance.globals.pointer.value = 99;
  wasm.set(1, exported());
  instance.Module.freeTableIndexes.pop();
  assert.equal(resetInstance(instance, state, world), null);
  assert.deepEqual([instance.globals.pointer.value, wasm.get(1), instance.Module.freeTableIndexes], [7, null, [2]]);
  assert.deepEqual(instance.table.changed, []);
});

test("what cannot be put back, or not be proven, ends the reuse", () => {
  const reasons = [
    [({ world }) => (world.gate.wasTried = true), /JavaScript was asked for/],
    [({ world }) => (world.hasLinked = true), /module was loaded/],
    [({ wasm }) => wasm.grow(1), /table of functions has grown/],
    [({ wasm, instance }) => {
      wasm.set(1, exported());
      instance.Module.setWasmTableEntry = () => {};
    }, /table of functions is another/],
    [({ references }) => references.grow(1, null), /references has grown/],
    [({ references }) => references.set(0, 5), /references is another/],
    [({ instance }) => (instance.Module.LDSO.loadedLibsByName["/b.so"] = {}), /another module/],
  ];
  for (const [harm, said] of reasons) {
    const parts = restored();
    harm(parts);
    assert.match(resetInstance(parts.instance, parts.state, parts.world), said);
  }
});

test("the watch sees every change, and what was there before", () => {
  const wasm = new WebAssembly.Table({ element: "anyfunc", initial: 2 });
  const [one, other] = [exported(), exported()];
  wasm.set(0, one);
  const watch = new TableWatch(wasm);
  wasm.set(0, other);
  wasm.set(0, null);
  wasm.set(1, other);
  assert.deepEqual([watch.changed, watch.before(0), watch.before(1), watch.hasGrown], [[0, 1], one, null, false]);
  wasm.grow(1);
  assert.equal(watch.hasGrown, true);
  watch.begin();
  assert.deepEqual([watch.changed, watch.hasGrown, watch.length], [[], false, 3]);
  watch.growTo(3);
  assert.throws(() => watch.growTo(2), /has 3 slots already/);
});
