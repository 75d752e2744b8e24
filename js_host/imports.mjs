// Phase 2: replace entries of the WebAssembly import table, which is the guest's whole view of the outside.
//
// The glue's table object is changed in place, so side modules (the .so files of wheels) see the same replacements.

import { LimitExceeded } from "./devices.mjs";

const [ENOSYS, EPERM] = [52, 63];
const [CLOCK_REALTIME, CLOCK_LAST] = [0, 3];
const EINVAL_WASI = 28;

/** Offsets in `struct dso` of the C library: flags of dlopen, where the file's bytes are, and the file's path. */
const [DSO_FLAGS, DSO_FILE_DATA, DSO_NAME] = [4, 28, 36];

/** Flags of dlopen. */
const [RTLD_GLOBAL, RTLD_NODELETE] = [256, 4096];

/** The kind of a file in its mode: mask, and regular. */
const [S_IFMT, S_IFREG] = [0o170000, 0o100000];

/** Offsets in `struct tm` of the C library. */
const [TM_ISDST, TM_GMTOFF] = [32, 36];

/** The guest ended itself (os._exit, abort): an outcome. */
export class GuestExit extends Error {
  name = "GuestExit";

  constructor(exitCode) {
    super(`guest exit ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** What a shell shows for SIGABRT. */
const ABORTED = 134;

/** Refused entry points: scripts, commands, sockets, signals by timer. They return "function not implemented". */
const REFUSED_SYSCALLS = [
  "__syscall_socket", "__syscall_connect", "__syscall_bind", "__syscall_listen", "__syscall_accept4",
  "__syscall_getsockname", "__syscall_getpeername", "__syscall_getsockopt", "__syscall_recvfrom", "__syscall_recvmsg",
  "__syscall_sendmsg", "__syscall_sendto",
];

const REFUSED_CALLS = [
  "emscripten_run_script", "emscripten_run_script_int", "emscripten_run_script_string",
  "emscripten_async_run_script", "emscripten_async_load_script", "emscripten_debugger",
];

/**
 * @param {object} table the imports' `env` object (shared with `wasi_snapshot_preview1`)
 * @param {object} parts {Module, world: see world.mjs}
 */
export function replaceImports(table, { Module, world }) {
  const { clock, entropy, onFailure } = world;
  const nanoseconds = (id) => (id === CLOCK_REALTIME ? clock.readRealtimeNs() : clock.readMonotonicNs());
  const milliseconds = (ns) => Number(ns / 1000n) / 1000;
  const { _gmtime_js: gmtime, _timegm_js: timegm, __syscall_poll: poll } = table;
  const { __syscall_mknodat: mknodat, _dlsym_js: dlsym, _dlsym_catchup_js: dlsymCatchup } = table;
  const { ffi_closure_free_js: freeClosure } = table;
  const bytesAt = (at, n) => Module.HEAPU8.subarray(at >>> 0, (at >>> 0) + (n >>> 0));

  const replacements = {
    clock_time_get(id, _precision, at) {
      if (id < 0 || id > CLOCK_LAST) return EINVAL_WASI;
      Module.HEAP64[(at >>> 0) / 8] = nanoseconds(id);
      return 0;
    },
    clock_res_get(id, at) {
      if (id < 0 || id > CLOCK_LAST) return EINVAL_WASI;
      Module.HEAP64[(at >>> 0) / 8] = 1000n;
      return 0;
    },
    emscripten_date_now: () => milliseconds(clock.readRealtimeNs()),
    emscripten_get_now: () => milliseconds(clock.readMonotonicNs()),
    emscripten_performance_now: () => milliseconds(clock.readMonotonicNs()),
    random_get(at, n) {
      entropy.fill(bytesAt(at, n));
      return 0;
    },
    emscripten_resize_heap(size) {
      if (size >>> 0 > world.memoryLimit) return false;
      const isGrown = growWithin(Module, size >>> 0, world.memoryLimit);
      // The guest will take it for the limit, which it is not: another host had the room.
      if (!isGrown) onFailure(new Error("the host has no memory left for the task"));
      return isGrown;
    },
    emscripten_get_heap_max: () => world.memoryLimit,
    _emscripten_system: () => -1,
    proc_exit(code) {
      throw new GuestExit(code & 0xff);
    },
    exit(code) {
      throw new GuestExit(code & 0xff);
    },
    _abort_js() {
      throw new GuestExit(ABORTED);
    },
    _setitimer_js: () => -ENOSYS,
    _dlopen_js: (handle) => loadModuleOfWheel(Module, world, handle >>> 0),
    _dlsym_js: notingSlots(Module, world, dlsym),
    _dlsym_catchup_js: notingSlots(Module, world, dlsymCatchup),
    // The glue leaves the function in the slot, where whoever kept its address could call it still; a slot that is free
    // is empty, whatever has been in it.
    ffi_closure_free_js(closure) {
      const slot = Module.HEAPU32[closure >>> 2];
      freeClosure(closure);
      if (slot < Module.wasmTable.length) Module.setWasmTableEntry(slot, null);
    },
    _tzset_js(timezone, daylight, standardName, daylightName) {
      Module.HEAP32[(timezone >>> 0) / 4] = 0;
      Module.HEAP32[(daylight >>> 0) / 4] = 0;
      for (const name of [standardName, daylightName]) Module.stringToUTF8("UTC", name >>> 0, 17);
    },
    // Time zone UTC: local time is calendar time, without daylight saving (tm_isdst) or an offset (tm_gmtoff).
    _localtime_js(time, at) {
      gmtime(time, at);
      Module.HEAP32[((at >>> 0) + TM_ISDST) / 4] = 0;
      Module.HEAP32[((at >>> 0) + TM_GMTOFF) / 4] = 0;
    },
    _mktime_js(at) {
      Module.HEAP32[((at >>> 0) + TM_ISDST) / 4] = 0;
      return timegm(at);
    },
    // Devices that nobody made would be numbers that the glue looks up and does not find.
    __syscall_mknodat(directory, path, mode, device) {
      return [0, S_IFREG].includes(mode & S_IFMT) ? mknodat(directory, path, mode, device) : -EPERM;
    },
    // Nothing becomes ready by waiting, so waiting is sleeping.
    __syscall_poll(descriptors, count, timeoutMs) {
      const ready = poll(descriptors, count, 0);
      if (ready === 0 && timeoutMs > 0) clock.advanceNs(BigInt(timeoutMs) * 1_000_000n);
      return ready;
    },
  };
  for (const name of REFUSED_SYSCALLS) replacements[name] = () => -ENOSYS;
  for (const name of REFUSED_CALLS) {
    replacements[name] = () => {
      throw new WebAssembly.RuntimeError(`${name} is refused`);
    };
  }
  for (const [name, replacement] of Object.entries(replacements)) {
    if (!(name in table)) continue;
    const { sig } = table[name];
    table[name] = replacement;
    if (sig) replacement.sig = sig;
  }
}

/** A symbol that nobody has asked for before gets a slot in the table, and the glue remembers which, for good. */
function notingSlots(Module, world, lookUp) {
  return (...parts) => {
    const slots = Module.wasmTable.length;
    const free = Module.freeTableIndexes.length;
    const given = lookUp(...parts);
    if (Module.wasmTable.length !== slots || Module.freeTableIndexes.length !== free) world.hasLinked = true;
    return given;
  };
}

/**
 * Load a dynamic library if it is a file of a wheel: those were checked, and cannot be written to.
 *
 * The C library has read the file into the guest's memory, where its bytes may have been changed since: the glue is made
 * to read the file itself. Its own entry would quote the engine where a module does not load, so it is not used.
 */
function loadModuleOfWheel(Module, world, dso) {
  world.hasLinked = true;
  const path = Module.UTF8ToString(dso + DSO_NAME);
  if (!isOfWheel(Module, path)) return refuseModule(Module, "only modules of installed packages are loaded");
  const flags = Module.HEAP32[(dso + DSO_FLAGS) >>> 2];
  const global = Boolean(flags & RTLD_GLOBAL);
  const options = { global, nodelete: Boolean(flags & RTLD_NODELETE), loadAsync: false };
  const bytes = (dso + DSO_FILE_DATA) >>> 2;
  const read = Module.HEAP32[bytes];
  Module.HEAP32[bytes] = 0;
  const stack = Module.stackSave();
  try {
    world.group = path;
    return Number(Module.loadDynamicLibrary(path, options, global ? null : {}, dso));
  } catch (error) {
    if (endsTheRun(error)) throw error;
    Module.stackRestore(stack); // a constructor that throws has left it where it was
    forgetModule(Module, path, dso);
    return refuseModule(Module, `${path} is not a module that can be loaded`);
  } finally {
    Module.HEAP32[bytes] = read;
  }
}

function isOfWheel({ API, FS }, path) {
  const isBelow = path.startsWith(`${API.sitePackages}/`) && !path.split("/").includes("..");
  return isBelow && FS.analyzePath(path).exists;
}

/** Whether what a module's own code met while it was loaded is more than a module that does not load. */
function endsTheRun(error) {
  return [WebAssembly.RuntimeError, RangeError, GuestExit, LimitExceeded].some((kind) => error instanceof kind);
}

/** Take a module that did not load off the loader's books, or the next attempt would find it there. */
function forgetModule({ LDSO, PATH }, path, dso) {
  delete LDSO.loadedLibsByName[PATH.normalize(path)];
  delete LDSO.loadedLibsByHandle[dso];
}

/** Fail as dlopen does, with a message for dlerror. */
function refuseModule(Module, message) {
  const stack = Module.stackSave();
  Module.___dl_seterr(Module.stringToUTF8OnStack(message), 0);
  Module.stackRestore(stack);
  return 0;
}

/** Grow the linear memory by the glue's own rule, but never beyond the limit. Returns whether the host has room. */
function growWithin(Module, requested, limit) {
  const pageAligned = (n) => Math.ceil(n / 65536) * 65536;
  const generous = Math.min(Module.HEAPU8.length * 1.2, requested + 100_663_296);
  return Boolean(Module.growMemory(Math.min(limit, pageAligned(Math.max(requested, generous)))));
}
