import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const LOCKDOWN = new URL("../../../js_host/lockdown.mjs", import.meta.url);
const CLOCK = new URL("../../../js_host/clock.mjs", import.meta.url);

/** Lock a fresh process down, evaluate an expression in it and return its JSON. */
function locked(expression, environment = {}) {
  const program = `
    import { writeSync } from "node:fs";
    import { lockDown } from ${JSON.stringify(LOCKDOWN.href)};
    import { Clock } from ${JSON.stringify(CLOCK.href)};
    const clock = new Clock();
    clock.reset(946684800);
    const [exit, lines] = [process.exit, []];
    lockDown(clock, (bytes) => bytes.fill(9), (line) => lines.push(line));
    const value = await (async () => (${expression}))();
    writeSync(1, JSON.stringify(value === undefined ? null : value));
    exit(0);`;
  const done = spawnSync(process.execPath, ["--input-type=module", "-e", program], { env: environment });
  assert.equal(done.status, 0, done.stderr.toString());
  return JSON.parse(done.stdout.toString());
}

test("nothing of the host is left on the global object", () => {
  const names = locked("Object.getOwnPropertyNames(globalThis)");
  const hosts = [
    "process", "require", "module", "Buffer", "fetch", "WebSocket", "navigator", "window", "document", "global",
    "setInterval", "setImmediate", "structuredClone", "Worker", "MessageChannel", "SharedArrayBuffer", "Atomics",
    "Intl", "Deno", "Bun", "localStorage", "XMLHttpRequest", "EventSource", "BroadcastChannel", "gc",
  ];
  assert.deepEqual(hosts.filter((name) => names.includes(name)), []);
});

test("dates are the guest's and UTC, whatever the machine says", () => {
  assert.deepEqual(locked("[Date.now(), new Date().toISOString(), new Date(0).getTime()]", { TZ: "Asia/Tokyo" }), [
    946684800000,
    "2000-01-01T00:00:00.000Z",
    0,
  ]);
});

test("randomness, performance and timers are pinned", () => {
  assert.deepEqual(
    locked(`[
      Math.random() === 0x09090909 / 2 ** 32,
      [...crypto.getRandomValues(new Uint8Array(3))],
      performance.now(),
      setTimeout(() => { throw new Error("ran"); }, 0),
    ]`),
    [true, [9, 9, 9], 0, 0],
  );
});

test("the pins cannot be moved", () => {
  const moved = `["Date", "crypto", "console", "performance", "setTimeout", "FinalizationRegistry"]
    .filter((name) => Reflect.set(globalThis, name, 1) || Reflect.deleteProperty(globalThis, name))`;
  assert.deepEqual(locked(moved), []);
});

test("finalisers never run, stack switching is gone", () => {
  assert.deepEqual(
    locked(`[
      new FinalizationRegistry(() => {}).unregister({}),
      typeof WebAssembly.Suspending, typeof WebAssembly.promising, typeof WebAssembly.Module,
    ]`),
    [false, "undefined", "undefined", "function"],
  );
});

test("the console reports to the parent", () => {
  assert.deepEqual(locked(`(console.log("a", 1), console.error("b"), lines)`), ["a 1", "b"]);
});
