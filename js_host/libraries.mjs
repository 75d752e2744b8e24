// Side modules: which are loaded and where, and how a fresh instance gets the same ones at the same places.
//
// Emscripten's loader puts a module where malloc and the end of the table happen to be, and runs its constructors. For
// an image both are known and memory is laid over afterwards, so modules are instantiated here, with their recorded
// bases and nothing run but their start functions. What a symbol resolves to follows the loader's rule: the shared
// import table, then what was loaded together with the module, then the module itself.

/** A module's symbol that keeps its name through the loader's renaming, to know an instance by. */
const anyFunction = (exports) => Object.values(exports).find((value) => typeof value === "function");

/** Notes every side module that the loader instantiates. */
export class LibraryLog {
  #entries = [];

  /**
   * @param {object} namespace the realm's WebAssembly, whose Instance is replaced
   * @param {import("./world.mjs").World} world whose `group` modules are loaded in: together they see their symbols
   */
  constructor(namespace, world) {
    const { Instance } = namespace;
    const entries = this.#entries;
    function LoggedInstance(module, imports) {
      const instance = new Instance(module, imports);
      if (imports !== undefined && "GOT.mem" in imports) {
        const { __memory_base: memoryBase, __table_base: tableBase } = imports.env;
        entries.push({ exports: instance.exports, memoryBase, tableBase, group: world.group });
      }
      return instance;
    }
    LoggedInstance.prototype = Instance.prototype;
    Object.defineProperty(namespace, "Instance", { value: LoggedInstance, writable: false, configurable: false });
  }

  /** Describe all modules that are loaded now, in the order in which they were. */
  describe({ LDSO }) {
    const handles = Object.entries(LDSO.loadedLibsByHandle).filter(([handle]) => Number(handle) !== 0);
    return Object.entries(LDSO.loadedLibsByName).filter(([name]) => name !== "__main__").map(([path, dso]) => {
      const known = anyFunction(dso.exports);
      const at = this.#entries.findIndex(({ exports }) => Object.values(exports).includes(known));
      if (known === undefined || at < 0) throw new Error(`${path} was loaded without being seen`);
      const { memoryBase, tableBase, group } = this.#entries[at];
      const own = handles.filter(([, other]) => other === dso).map(([handle]) => Number(handle));
      return { at, path, group, memoryBase, tableBase, handles: own, global: dso.global, refcount: countText(dso) };
    }).sort((one, other) => one.at - other.at).map(({ at: _, ...library }) => library);
  }
}

/** JSON has no infinity, which is what a module that is never unloaded has for a count. */
const countText = ({ refcount }) => (refcount === Infinity ? "never unloaded" : refcount);
const countOf = (text) => (text === "never unloaded" ? Infinity : text);

/**
 * Load recorded modules into an instance in which none is loaded.
 *
 * @param {import("./boot.mjs").Instance} instance
 * @param {object[]} libraries as `LibraryLog.describe` gives them
 * @param {(path: string) => WebAssembly.Module} compile
 */
export function loadLibraries({ Module, imports, table }, libraries, compile) {
  const { LDSO, GOT } = Module;
  const scopes = new Map();
  for (const { path, group, memoryBase, tableBase, handles, global, refcount } of libraries) {
    const module = compile(path);
    const { tableSize, neededDynlibs } = Module.getDylinkMetadata(module);
    if (tableSize) table.growTo(tableBase + tableSize);
    if (!scopes.has(group)) scopes.set(group, Object.create(null));
    const scope = scopes.get(group);
    for (const needed of neededDynlibs) Object.assign(scope, findLoaded(LDSO, needed)?.exports);
    let exports = null;
    const resolve = (name) => (Module.isSymbolDefined(name) ? imports[name] : scope[name] ?? exports[name]);
    const env = new Proxy({}, { get: importGetter({ imports, memoryBase, tableBase, resolve }) });
    const instance = new WebAssembly.Instance(module, {
      "GOT.mem": GOT, "GOT.func": GOT, env, wasi_snapshot_preview1: env,
    });
    if (tableSize) Module.updateTableMap(tableBase, tableSize);
    exports = Module.relocateExports(instance.exports, memoryBase);
    const dso = Module.newDSO(path, undefined, exports);
    Object.assign(dso, { global, refcount: countOf(refcount) });
    for (const handle of handles) LDSO.loadedLibsByHandle[handle] = dso;
    if (global) Module.mergeLibSymbols(exports, path);
    else Object.assign(scope, exports);
  }
}

/** Bring the loader's books of a module that is loaded already to what was recorded. */
export function updateLibrary({ LDSO }, { path, handles, refcount }) {
  const dso = LDSO.loadedLibsByName[path];
  dso.refcount = countOf(refcount);
  for (const [handle, other] of Object.entries(LDSO.loadedLibsByHandle)) {
    if (other === dso) delete LDSO.loadedLibsByHandle[handle];
  }
  for (const handle of handles) LDSO.loadedLibsByHandle[handle] = dso;
}

/** The loader looks for needed libraries in several directories; here they are loaded already, whichever it was. */
function findLoaded({ loadedLibsByName }, needed) {
  const paths = Object.keys(loadedLibsByName).filter((path) => path === needed || path.endsWith(`/${needed}`));
  if (paths.length > 1) throw new Error(`${needed} is loaded from ${paths.join(" and ")}`);
  return loadedLibsByName[paths[0]];
}

/** What a module imports from `env`. Symbols that are not there yet are looked up when they are first called. */
function importGetter({ imports, memoryBase, tableBase, resolve }) {
  const late = new Map();
  return (_, name) => {
    if (name === "__memory_base") return memoryBase;
    if (name === "__table_base") return tableBase;
    if (name in imports && !imports[name].stub) return imports[name];
    if (!late.has(name)) {
      let resolved;
      late.set(name, (...parts) => {
        resolved ??= resolve(name);
        if (resolved === undefined) throw new WebAssembly.RuntimeError(`${name} is nowhere`);
        return resolved(...parts);
      });
    }
    return late.get(name);
  };
}
