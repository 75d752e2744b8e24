// One measured process: boots the guest with one variant of instrumentation and times kernels in it.
// Usage: node instrumentation_worker.mjs PYODIDE_DIR SITE_PACKAGES VARIANT REPEATS; prints a JSON object.
//
// Unlike a worker it instruments while it runs (not timed), and never ends a kernel: only ratios between variants count.

import { readdirSync, readFileSync, writeSync } from "node:fs";
import { pathToFileURL } from "node:url";

import { bootInstance } from "../js_host/boot.mjs";
import { instrument } from "../js_host/instrument/instrument.mjs";
import { FUEL_NAME, FULL_TANK } from "../js_host/instrument/section_writers.mjs";
import { lockDown } from "../js_host/lockdown.mjs";
import { RuntimeFiles } from "../js_host/runtime_files.mjs";
import { stateDigest } from "../js_host/state_digest.mjs";
import { World } from "../js_host/world.mjs";
import { KERNELS } from "./instrumentation_kernels.mjs";

const VARIANTS = {
  none: null,
  nan: { nan: true, fuel: false },
  fuel: { nan: false, fuel: true, stack: false },
  stack: { nan: false, fuel: true, stack: true },
  all: { nan: true, fuel: true, stack: true },
};

const [pyodideDir, sitePackages, variant, repeats] = process.argv.slice(2);
const parts = VARIANTS[variant];
const { cpuUsage, exit, hrtime } = process;
const clockMs = () => Number(hrtime.bigint()) / 1e6;
const result = { variant, instrument_ms: 0, bytes_in: 0, bytes_out: 0, modules: 0 };

function prepared(bytes, kind) {
  if (parts === null) return bytes;
  const begin = clockMs();
  const made = instrument(bytes, { kind, ...parts }).bytes;
  result.instrument_ms += clockMs() - begin;
  result.bytes_in += bytes.length;
  result.bytes_out += made.length;
  result.modules += 1;
  return made;
}

/** Side modules are instrumented as the loader compiles them. */
function interceptModules() {
  const { Module } = WebAssembly;
  const isSide = (bytes) => new TextDecoder().decode(bytes.subarray(8, 20)).includes("dylink.0");
  WebAssembly.Module = new Proxy(Module, {
    construct(target, [bytes]) {
      return new target(isSide(bytes) ? prepared(bytes, "side") : bytes);
    },
  });
}

/** Every variant gets a counter, which only some of them count with. */
function interceptInstantiation() {
  const { instantiate } = WebAssembly;
  const idle = new WebAssembly.Global({ value: "i64", mutable: true }, 0n);
  const taken = { counter: idle };
  WebAssembly.instantiate = async (module, imports) => {
    const { exports } = await instantiate.call(WebAssembly, module, imports);
    taken.counter = exports[FUEL_NAME] ?? idle;
    imports.env[FUEL_NAME] = taken.counter;
    return { exports: { ...exports, [FUEL_NAME]: taken.counter } };
  };
  return taken;
}

function filesBelow(folder, prefix = "") {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory()
      ? filesBelow(`${folder}/${entry.name}`, `${prefix}${entry.name}/`)
      : [[`${prefix}${entry.name}`, readFileSync(`${folder}/${entry.name}`)]],
  );
}

const createModule = (await import(pathToFileURL(`${pyodideDir}/pyodide.asm.mjs`).href)).default;
const mainBytes = new Uint8Array(readFileSync(`${pyodideDir}/pyodide.asm.wasm`));
const stdlib = new Uint8Array(readFileSync(`${pyodideDir}/python_stdlib.zip`));
const installed = sitePackages === "-" ? [] : filesBelow(sitePackages);
const wasm = new WebAssembly.Module(prepared(mainBytes, "main"));
interceptModules();
const taken = interceptInstantiation();
const world = new World();
world.begin({ epoch: 0, memory: 1 << 30, output: 1 << 24, key: new Uint8Array(32) });
lockDown(world.clock, (bytes) => world.glueEntropy.fill(bytes), () => {});
const files = new RuntimeFiles(stdlib, {});
const { Module: python } = await bootInstance({ createModule, wasm, files, world, startsPython: true, makesImage: false });

for (const [path, content] of installed) {
  const full = `${python.API.sitePackages}/${path}`;
  python.FS.mkdirTree(full.slice(0, full.lastIndexOf("/")));
  python.FS.writeFile(full, content);
}

function run(code) {
  if (python._PyRun_SimpleString(python.stringToNewUTF8(code)) !== 0) throw new Error(world.stderr.text());
}

/** Best CPU time of several, in milliseconds, and the fuel of the last. */
function time(code) {
  let best = Infinity;
  let fuel = null;
  for (let n = 0; n < Number(repeats); n++) {
    taken.counter.value = BigInt(FULL_TANK);
    const before = cpuUsage();
    run(code);
    const used = cpuUsage(before);
    best = Math.min(best, (used.user + used.system) / 1000);
    fuel = FULL_TANK - Number(taken.counter.value);
  }
  return { ms: best, fuel };
}

run("import importlib; importlib.invalidate_caches()");
result.kernels = {};
for (const { name, setup, code, numpy } of KERNELS) {
  if (numpy && installed.length === 0) continue;
  run(setup);
  run(code);
  result.kernels[name] = time(code);
}
result.state = stateDigest(python.HEAPU8);
writeSync(1, `${JSON.stringify(result)}\n`);
exit(0);
