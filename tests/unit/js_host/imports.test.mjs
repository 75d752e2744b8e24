import assert from "node:assert/strict";
import { test } from "node:test";

import { Clock } from "../../../js_host/clock.mjs";
import { LimitExceeded } from "../../../js_host/devices.mjs";
import { EntropyStream } from "../../../js_host/entropy.mjs";
import { GuestExit, replaceImports } from "../../../js_host/imports.mjs";

const MIB = 1 << 20;

function replaced() {
  const memory = new ArrayBuffer(4096);
  const Module = {
    HEAPU8: new Uint8Array(memory),
    HEAP32: new Int32Array(memory),
    HEAP64: new BigInt64Array(memory),
    grown: [],
    growMemory: (size) => Boolean(Module.grown.push(size)),
    API: { sitePackages: "/lib/site-packages" },
    FS: { analyzePath: (path) => ({ exists: !path.endsWith("absent.so") }) },
    UTF8ToString: () => Module.path,
    stackSave: () => 0,
    stackRestore: () => {},
    stringToUTF8OnStack: (text) => text,
    ___dl_seterr: (text) => Module.errors.push(text),
    errors: [],
    PATH: { normalize: (path) => path },
    LDSO: { loadedLibsByName: {}, loadedLibsByHandle: {} },
    loadDynamicLibrary(path, options, _scope, dso) {
      Module.LDSO.loadedLibsByName[path] = Module.LDSO.loadedLibsByHandle[dso] = "loading";
      touched.push([dso, Module.HEAP32[(dso + 28) / 4], options.global]);
      if (Module.failure) throw Module.failure;
      return true;
    },
  };
  const touched = [];
  const original = Object.assign((...parts) => touched.push(parts), { sig: "iii" });
  const names = [
    "clock_time_get", "clock_res_get", "random_get", "emscripten_resize_heap", "emscripten_get_heap_max", "proc_exit",
    "_localtime_js", "_mktime_js", "__syscall_socket", "emscripten_run_script", "_emscripten_system",
    "__syscall_mknodat",
  ];
  const table = Object.fromEntries(names.map((name) => [name, original]));
  table._gmtime_js = (_time, at) => Module.HEAP32.fill(7, at / 4, at / 4 + 10);
  table._timegm_js = () => 42n;
  table._dlsym_js = table._dlsym_catchup_js = () => (Module.willTake && Module.wasmTable.push(null), 5);
  table.__syscall_poll = (_fds, count) => count;
  table._dlopen_js = () => assert.fail("the glue's own entry quotes the engine");
  const clock = new Clock();
  clock.reset(100);
  const world = { clock, entropy: new EntropyStream(new Uint8Array(32)), memoryLimit: 64 * MIB, hasLinked: false };
  replaceImports(table, { Module, world });
  return { table, Module, clock, touched, world };
}

test("clocks are the guest's; an unknown one is an error", () => {
  const { table, Module } = replaced();
  assert.equal(table.clock_time_get(0, 0n, 8), 0);
  assert.equal(Module.HEAP64[1], 100_000_001_000n);
  assert.equal(table.clock_time_get(3, 0n, 8), 0);
  assert.equal(Module.HEAP64[1], 2000n);
  assert.equal(table.clock_time_get(4, 0n, 8), 28);
});

test("random bytes are the stream's", () => {
  const { table, Module } = replaced();
  table.random_get(16, 2);
  assert.deepEqual([...Module.HEAPU8.subarray(15, 19)], [0, 0x76, 0xb8, 0]);
});

test("local time is UTC, without rests of older calls in the fields that gmtime leaves", () => {
  const { table, Module } = replaced();
  Module.HEAP32[32 / 4 + 9] = 999;
  table._localtime_js(0n, 32);
  assert.deepEqual([Module.HEAP32[32 / 4 + 7], Module.HEAP32[32 / 4 + 8], Module.HEAP32[32 / 4 + 9]], [7, 0, 0]);
  assert.equal(table._mktime_js(32), 42n);
});

test("waiting for descriptors that are not ready is sleeping", () => {
  const { table, clock } = replaced();
  assert.equal(table.__syscall_poll(0, 0, 1500), 0);
  assert.equal(clock.monotonicMilliseconds(), 1500);
  assert.equal(table.__syscall_poll(0, 1, 1500), 1);
  assert.equal(table.__syscall_poll(0, 0, -1), 0);
  assert.equal(clock.monotonicMilliseconds(), 1500);
});

test("memory grows to the limit and not beyond", () => {
  const { table, Module } = replaced();
  assert.equal(table.emscripten_get_heap_max(), 64 * MIB);
  assert.equal(table.emscripten_resize_heap(64 * MIB + 1), false);
  assert.equal(table.emscripten_resize_heap(64 * MIB), true);
  assert.deepEqual(Module.grown, [64 * MIB]);
});

test("exits end the run, scripts trap, sockets and commands are refused", () => {
  const { table, touched } = replaced();
  assert.throws(() => table.proc_exit(259), (error) => error instanceof GuestExit && error.exitCode === 3);
  assert.throws(() => table.emscripten_run_script(0), WebAssembly.RuntimeError);
  assert.equal(table.__syscall_socket(2, 1, 0), -52);
  assert.equal(table._emscripten_system(0), -1);
  assert.deepEqual(touched, []);
});

test("signatures stay, because the loader of side modules reads them; absent names stay absent", () => {
  const { table } = replaced();
  assert.equal(table.clock_time_get.sig, "iii");
  assert.equal("_abort_js" in table, false);
});

test("a module is loaded from a wheel's file, whatever bytes the guest has put in its place", () => {
  const { table, Module, touched } = replaced();
  const DATA = (64 + 28) / 4;
  Module.HEAP32[DATA] = 4096;
  Module.path = "/lib/site-packages/numpy/core.so";
  assert.equal(table._dlopen_js(64), 1);
  assert.deepEqual(touched, [[64, 0, false]]);
  assert.equal(Module.HEAP32[DATA], 4096);
});

test("no other module is loaded", () => {
  const { table, Module, touched } = replaced();
  for (const path of ["/tmp/x.so", "x.so", "/lib/site-packages/../../tmp/x.so", "/lib/site-packages/absent.so"]) {
    Module.path = path;
    assert.equal(table._dlopen_js(64), 0, path);
  }
  assert.equal(Module.errors.length, 4);
  assert.deepEqual(touched, []);
});

test("a module that does not load says so in our words, and can be tried again", () => {
  const { table, Module, touched } = replaced();
  Module.path = "/lib/site-packages/numpy/core.so";
  Module.HEAP32[(64 + 4) / 4] = 256;
  for (const kind of [WebAssembly.CompileError, WebAssembly.LinkError, TypeError, Error]) {
    Module.failure = new kind("in the engine's words");
    assert.equal(table._dlopen_js(64), 0);
    assert.equal(Module.errors.pop(), "/lib/site-packages/numpy/core.so is not a module that can be loaded");
    assert.deepEqual(Module.LDSO, { loadedLibsByName: {}, loadedLibsByHandle: {} });
  }
  assert.deepEqual(touched, Array(4).fill([64, 0, true]));
});

test("what ends a run ends it while a module is loaded, too", () => {
  const { table, Module } = replaced();
  Module.path = "/lib/site-packages/numpy/core.so";
  const failures = [new WebAssembly.RuntimeError(), new RangeError(), new GuestExit(3), new LimitExceeded("output", 153)];
  for (const failure of failures) {
    Module.failure = failure;
    assert.throws(() => table._dlopen_js(64), (error) => error === failure);
  }
  assert.deepEqual(Module.errors, []);
});

test("files are made, devices and pipes are not", () => {
  const { table, touched } = replaced();
  for (const mode of [0o644, 0o100644]) table.__syscall_mknodat(-100, 8, mode, 0);
  assert.equal(touched.length, 2);
  for (const kind of [0o010000, 0o020000, 0o060000, 0o140000]) {
    assert.equal(table.__syscall_mknodat(-100, 8, kind | 0o644, 0x501), -63);
  }
  assert.equal(touched.length, 2);
});

test("a symbol that takes a slot is noted, by either way to look one up", () => {
  for (const name of ["_dlsym_js", "_dlsym_catchup_js"]) {
    const { table, Module, world } = replaced();
    Object.assign(Module, { wasmTable: [null], freeTableIndexes: [7] });
    assert.deepEqual([table[name](1, 2), world.hasLinked], [5, false]);
    Module.willTake = true;
    assert.deepEqual([table[name](1, 2), world.hasLinked], [5, true]);
  }
});
