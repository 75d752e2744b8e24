// Phase 3: bring up CPython inside the locked-down realm.
//
// This is our own loader for Pyodide's Emscripten module; `pyodide.mjs` would bring child_process, ws and fetch along.
// It follows the steps of that file for the pinned release: settings, module, bootstrap, streams.

import { installDevices } from "./devices.mjs";
import { boundDisk, boundPipes } from "./disk.mjs";
import { replaceImports } from "./imports.mjs";
import { FuelMeter } from "./instrument/meter.mjs";
import { FUEL_NAME } from "./instrument/section_writers.mjs";

const WRITABLE = ["/work", "/tmp", "/outputs"];

/** Environment that Python boots in, the same for every task; the task's own variables are added before it runs. */
const ENVIRONMENT = {
  HOME: "/work", USER: "faas", LOGNAME: "faas", PATH: "/usr/bin", PWD: "/work", LANG: "C.UTF-8", LC_ALL: "C.UTF-8",
  TZ: "UTC", TMPDIR: "/tmp", _: "/usr/bin/python3", PYTHONHASHSEED: "0", PYTHONDONTWRITEBYTECODE: "1",
  PYTHONINSPECT: "1", PYTHONNOUSERSITE: "1", PYTHONUNBUFFERED: "1", MPLBACKEND: "agg",
};

const RUNTIME_ENVIRONMENT = Object.freeze({
  IN_NODE: false, IN_NODE_COMMONJS: false, IN_NODE_ESM: false, IN_BUN: false, IN_DENO: false, IN_BROWSER: false,
  IN_BROWSER_MAIN_THREAD: false, IN_BROWSER_WEB_WORKER: false, IN_SAFARI: false, IN_SHELL: false, IN_WORKERD: false,
});

/**
 * Boot Python and return the Emscripten module.
 *
 * @param {object} parts
 * @param {Function} parts.createModule the glue's factory
 * @param {WebAssembly.Module} parts.wasm the compiled main module
 * @param {Uint8Array} parts.stdlib bytes of python_stdlib.zip
 * @param {Record<string, string>} parts.guest our Python modules, by file name
 * @param {object} parts.world {clock, entropy, gate, memoryLimit, stdout, stderr, outcome}; gets {fuel}
 */
export async function bootPython({ createModule, wasm, stdlib, guest, world }) {
  const errorMarker = Symbol("error marker");
  const Module = {
    noImageDecoding: true,
    noAudioDecoding: true,
    noWasmDecoding: true,
    thisProgram: "/usr/bin/python3",
    arguments: [],
    print: console.log,
    printErr: console.error,
    locateFile: (path) => path,
    API: {
      config: {
        jsglobals: Object.freeze(Object.create(null)), env: {}, packages: [], enableRunUntilComplete: false,
        checkAPIVersion: false, indexURL: "/", packageBaseUrl: "/", packageCacheDir: "/",
      },
      runtimeEnv: RUNTIME_ENVIRONMENT,
      lockFilePromise: Promise.resolve({
        info: { abi_version: "2026_0", arch: "wasm32", platform: "emscripten_5_0_3", python: "3.14.2" },
        packages: {},
      }),
    },
    preRun: [
      (module) => prepareFileSystem(module, stdlib, guest, world.memoryLimit),
      (module) => Object.assign(module.ENV, ENVIRONMENT),
    ],
    instantiateWasm(imports, receive) {
      imports.env.Jsv_GetError_import = () => errorMarker;
      imports.env.JsvError_Check = (value) => (value === errorMarker ? 1 : 0);
      world.gate.guard(imports.env);
      replaceImports(imports.env, { Module, ...world });
      WebAssembly.instantiate(wasm, imports).then((instance) => {
        // Side modules import the counter from the table; the glue never sees it among the exports, nor does dlsym,
        // which looks through the table's enumerable names.
        const { [FUEL_NAME]: counter, ...exports } = instance.exports;
        Object.defineProperty(imports.env, FUEL_NAME, { value: counter });
        world.fuel = new FuelMeter(counter);
        receive({ exports }, wasm);
      });
      return {};
    },
  };
  await createModule(Module);
  if (Module.exitCode !== undefined) throw new Error(`Python ended with ${Module.exitCode} while it started`);
  Module.API.finalizeBootstrap();
  await Module.API.packageIndexReady;
  installDevices(Module, world);
  return Module;
}

function prepareFileSystem(Module, stdlib, guest, diskLimit) {
  const { FS } = Module;
  boundDisk(Module, diskLimit);
  boundPipes(Module);
  Module.API.pyVersionTuple = [3, 14, 2];
  Module.API.sitePackages = "/lib/python3.14/site-packages";
  FS.mkdirTree(Module.API.sitePackages);
  const place = (path, content) => {
    FS.writeFile(path, content);
    FS.chmod(path, 0o444);
  };
  place("/lib/python314.zip", stdlib);
  for (const [name, text] of Object.entries(guest)) place(`/lib/python3.14/${name}`, text);
  for (const path of WRITABLE) FS.analyzePath(path, true).exists || FS.mkdir(path);
  for (const path of ["/function", "/inputs", "/run", "/usr", "/usr/bin"]) FS.mkdir(path);
  if (FS.analyzePath("/home/web_user", true).exists) FS.rmdir("/home/web_user");
  FS.chdir("/work");
}
