// Phase 1: make the global object the same, and nearly empty, on every engine.
//
// Pyodide's glue looks at `process`, `navigator`, `window`, `crypto`, `Date` … to learn where it runs. All of that is
// taken away or pinned before the glue is evaluated, so it takes one path on Node, Bun and anything later, and a guest
// that reaches the global object finds the ECMAScript library and nothing of the host. Changes JavaScript state only;
// must run in every process, whether an image is restored or not.

/** ECMAScript and the few web names that the glue needs; everything else is deleted. */
const KEPT = new Set([
  "globalThis", "Infinity", "NaN", "undefined", "isFinite", "isNaN", "parseFloat", "parseInt",
  "decodeURI", "decodeURIComponent", "encodeURI", "encodeURIComponent", "escape", "unescape",
  "Object", "Function", "Symbol", "Error", "AggregateError", "EvalError", "RangeError", "ReferenceError", "SyntaxError",
  "SuppressedError", "TypeError", "URIError", "Number", "BigInt", "Boolean", "Math", "Date", "String", "RegExp", "Array",
  "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array",
  "BigInt64Array", "BigUint64Array", "Float16Array", "Float32Array", "Float64Array", "Map", "Set", "WeakMap", "WeakSet",
  "WeakRef", "ArrayBuffer", "DataView", "JSON", "Promise", "Reflect", "Proxy", "Iterator", "eval",
  "TextDecoder", "TextEncoder", "URL", "AbortController", "AbortSignal", "WebAssembly", "queueMicrotask",
]);

/** Collection of garbage must not be observable: a finaliser would touch guest memory whenever the engine likes. */
class InertFinalizationRegistry {
  register() {}
  unregister() {
    return false;
  }
}

/** A `Date` that knows only the guest's clock and UTC. */
function pinnedDate(clock) {
  const RealDate = Date;
  class PinnedDate extends RealDate {
    constructor(...parts) {
      super(...(parts.length === 0 ? [clock.fileMilliseconds()] : parts));
    }
    static now() {
      return clock.fileMilliseconds();
    }
  }
  return PinnedDate;
}

/**
 * Hide the host and pin what is left.
 *
 * @param {import("./clock.mjs").Clock} clock the guest's clock
 * @param {(bytes: Uint8Array) => void} fillGlue fills bytes for the glue's own use of randomness
 * @param {(line: string) => void} report receives what the glue prints to its console
 */
export function lockDown(clock, fillGlue, report) {
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    if (!KEPT.has(name)) Reflect.deleteProperty(globalThis, name);
  }
  const line = (...parts) => report(parts.map(String).join(" "));
  const pins = {
    // Read at load time by Emscripten: chooses the branch that needs nothing of the host.
    WorkerGlobalScope: Object,
    FinalizationRegistry: InertFinalizationRegistry,
    Date: pinnedDate(clock),
    console: Object.freeze({ log: line, warn: line, error: line, info: line, debug: line }),
    performance: Object.freeze({ now: () => clock.monotonicMilliseconds() }),
    crypto: Object.freeze({
      getRandomValues(view) {
        fillGlue(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
        return view;
      },
    }),
    // Nothing that runs later than now: asyncio has its own loop inside Python.
    setTimeout: () => 0,
    clearTimeout: () => {},
  };
  for (const [name, value] of Object.entries(pins)) {
    Object.defineProperty(globalThis, name, { value, writable: false, configurable: false, enumerable: false });
  }
  Math.random = () => {
    const word = new Uint32Array(1);
    fillGlue(new Uint8Array(word.buffer));
    return word[0] / 2 ** 32;
  };
  // Stack switching exists in some engines only; without it Pyodide takes the same path in all of them.
  for (const name of ["Suspending", "SuspendError", "promising"]) Reflect.deleteProperty(WebAssembly, name);
}
