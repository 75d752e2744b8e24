// The benchmark's own worker starts Python as real workers do, and must follow when that changes.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

test("the measured process boots and runs every kernel that needs no package", () => {
  const command = ["bench/instrumentation_worker.mjs", "node_modules/pyodide", "-", "none", "1"];
  const { kernels, state } = JSON.parse(execFileSync(process.execPath, command, { cwd: ROOT, encoding: "utf8" }));
  assert.deepEqual(Object.keys(kernels).sort(), [
    "calls (fib)", "integers of many digits", "json", "nbody", "pickle", "regex", "sort, hash", "zlib, sha256",
  ]);
  assert.match(state, /^[0-9a-f]{64}$/);
});
