// The gate: which entries of the import table compiled code may still call once Python is sealed.
//
// While Python boots it uses Pyodide's bridge to JavaScript, some 200 entries; Emscripten's library has hundreds more
// (scripts, workers, web sockets, timers, call stacks with the host's paths). Code of a function reaches all of them by
// name through ctypes or its own compiled modules, whatever was taken out of Python. What a sealed guest needs is
// files, clocks, foreign calls and dynamic libraries: those stay, and everything else ends the run as a trap does.
// The list says what stays, so an entry that a later Pyodide adds is refused until somebody has looked at it.

/** Families of entries that stay: system calls, WASI, foreign calls, C++ exceptions, CPython's own. */
const KEPT_PREFIXES = [
  "__syscall_", "_maybe_", "_try_", "fd_", "clock_", "environ_", "ffi_", "invoke_", "_Py",
];

const KEPT = new Set([
  "__assert_fail", "__call_sighandler", "_abort_js", "exit", "proc_exit", "random_get",
  "_dlopen_js", "_dlsym_js", "_dlsym_catchup_js", "_emscripten_get_progname", "_emscripten_lookup_name",
  "_emscripten_system", "_gmtime_js", "_localtime_js", "_mktime_js", "_timegm_js", "_tzset_js", "_setitimer_js",
  "_mmap_js", "_msync_js", "_munmap_js", "emscripten_resize_heap", "emscripten_get_heap_max",
  "emscripten_notify_memory_growth", "emscripten_date_now", "emscripten_get_now", "emscripten_performance_now",
  "_emscripten_runtime_keepalive_clear", "emscripten_runtime_keepalive_push", "emscripten_runtime_keepalive_pop",
  "getaddrinfo", "getnameinfo", "getprotobyname", "getprotobynumber", "strptime", "strptime_l", "__asctime_r",
  "throw_no_gil", "stackSave", "stackRestore", "stackAlloc",
]);

const isKept = (name) => KEPT.has(name) || KEPT_PREFIXES.some((prefix) => name.startsWith(prefix));

function refuse(name) {
  throw new WebAssembly.RuntimeError(`${name} is refused`);
}

export class Gate {
  #open = true;
  /** Whether a refused entry was called since the gate was closed; what that may have changed in the realm is unknown. */
  wasTried = false;

  /** Refuse from now on what a sealed guest does not need. There is no way back. */
  close() {
    this.#open = false;
    this.wasTried = false;
  }

  /**
   * Change the table in place, before it is used to instantiate anything.
   *
   * It loses its prototype: a compiled module that imports `constructor` would otherwise be given `Object`. What the
   * table does not have, the loader of side modules looks up in an object of its own, which has one: so the table
   * refuses those names itself.
   */
  guard(table) {
    for (const [name, entry] of Object.entries(table)) {
      if (typeof entry === "function" && !isKept(name)) table[name] = this.#guarded(name, entry);
    }
    Object.setPrototypeOf(table, null);
    for (const name of Object.getOwnPropertyNames(Object.prototype)) {
      Object.defineProperty(table, name, { value: () => refuse(name) });
    }
  }

  #guarded(name, entry) {
    const guarded = (...parts) => {
      this.wasTried = true;
      return this.#open ? entry(...parts) : refuse(name);
    };
    return Object.assign(guarded, entry); // the loader of side modules reads `sig` and `stub`
  }
}
