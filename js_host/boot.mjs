// Phase 3: bring up CPython inside the locked-down realm, or only the engine below it, ready for an image.
//
// This is our own loader for Pyodide's Emscripten module; `pyodide.mjs` would bring child_process, ws and fetch along.
// It follows the steps of that file for the pinned release: settings, module, bootstrap, streams.

import { installDevices } from "./devices.mjs";
import { layRuntimeFiles, tameFileSystem } from "./file_system.mjs";
import { symbolsOf } from "./image.mjs";
import { replaceImports } from "./imports.mjs";
import { FuelMeter } from "./instrument/meter.mjs";
import { HIDDEN_GLOBAL, HIDDEN_TABLE } from "./instrument/hidden_state.mjs";
import { FUEL_NAME } from "./instrument/section_writers.mjs";
import { TableWatch } from "./table_watch.mjs";

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
 * @typedef {object} Instance
 * @property {object} Module the Emscripten module
 * @property {object} imports the import table `env`, which side modules share
 * @property {object} exports of the main module, without what is for the host alone
 * @property {Record<string, WebAssembly.Global>} globals what can change in the main module, by name
 * @property {Record<string, WebAssembly.Table>} tables the main module's own tables, by name
 * @property {Record<string, unknown[]>} references what those tables held when the image was restored
 * @property {TableWatch} table the shared table of functions
 * @property {number} firstSlots its length in every process that has come as far as this
 * @property {Map<string, [number, boolean]>} [firstSymbols] the loader's symbols there; only where an image is made
 * @property {Array<[number, string, string]>} slots those that an image has set, see `nameSlots`; empty without
 */

/**
 * Instantiate the main module; with `startsPython` boot Python, too.
 *
 * @param {object} parts
 * @param {Function} parts.createModule the glue's factory
 * @param {WebAssembly.Module} parts.wasm the compiled main module
 * @param {import("./runtime_files.mjs").RuntimeFiles} parts.files
 * @param {import("./world.mjs").World} parts.world
 * @param {boolean} parts.startsPython
 * @param {boolean} parts.makesImage
 * @returns {Promise<Instance>}
 */
export async function bootInstance({ createModule, wasm, files, world, startsPython, makesImage }) {
  const errorMarker = Symbol("error marker");
  const instance = { slots: [] };
  const Module = {
    noImageDecoding: true,
    noAudioDecoding: true,
    noWasmDecoding: true,
    noInitialRun: !startsPython,
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
      pyVersionTuple: [3, 14, 2],
      sitePackages: "/lib/python3.14/site-packages",
    },
    preRun: [
      (module) => {
        tameFileSystem(module, world);
        layRuntimeFiles(module, files);
      },
      (module) => Object.assign(module.ENV, ENVIRONMENT),
    ],
    // Up to here every process goes the same way; what comes after is what an image holds.
    onRuntimeInitialized() {
      instance.table.begin();
      instance.firstSlots = instance.table.length;
      if (makesImage) instance.firstSymbols = symbolsOf(Module);
    },
    instantiateWasm(imports, receive) {
      imports.env.Jsv_GetError_import = () => errorMarker;
      imports.env.JsvError_Check = (value) => (value === errorMarker ? 1 : 0);
      world.gate.guard(imports.env);
      replaceImports(imports.env, { Module, world });
      WebAssembly.instantiate(wasm, imports).then((made) => {
        const { counter, ...parts } = separate(made.exports);
        // Side modules import the counter from the table; the glue never sees it among the exports, nor does dlsym,
        // which looks through the table's enumerable names.
        Object.defineProperty(imports.env, FUEL_NAME, { value: counter });
        world.fuel = new FuelMeter(counter);
        const table = new TableWatch(parts.exports.__indirect_function_table);
        Object.assign(instance, { Module, imports: imports.env, table, ...parts });
        receive({ exports: parts.exports }, wasm);
      });
      return {};
    },
  };
  await createModule(Module);
  if (startsPython) await bootstrap(Module);
  installDevices(Module, world);
  return instance;
}

/** Part the exports of the main module in those that the glue and the guest may see, and those for the host. */
function separate(all) {
  const parts = { counter: all[FUEL_NAME], exports: {}, globals: { __stack_pointer: all.__stack_pointer }, tables: {} };
  for (const [name, value] of Object.entries(all)) {
    if (name.startsWith(HIDDEN_GLOBAL)) parts.globals[name] = value;
    else if (name.startsWith(HIDDEN_TABLE)) parts.tables[name] = value;
    else if (name !== FUEL_NAME) parts.exports[name] = value;
  }
  return parts;
}

async function bootstrap(Module) {
  if (Module.exitCode !== undefined) throw new Error(`Python ended with ${Module.exitCode} while it started`);
  Module.API.finalizeBootstrap();
  await Module.API.packageIndexReady;
}
