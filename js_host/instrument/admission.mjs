// Which modules the engine may compile: side modules only if the parent vouches for their bytes.
//
// Pyodide's loader takes side modules from files and from guest memory, so a guest could offer one that was never
// instrumented: without fuel, with loose NaNs, with its own JavaScript. A side module begins with the section dylink.0,
// or the loader does not take it; other modules are the loader's own (call thunks), and small.

import { ByteReader } from "./bytes.mjs";
import { SECTION } from "./module_reader.mjs";

/** Larger modules without dylink.0 do not come from the loader. */
const MOST_THUNK_BYTES = 4096;

const HEADER_BYTES = 8;

/**
 * Replace `WebAssembly.Module` by a constructor that admits side modules by the sha-256 of their bytes, and take away
 * the other ways to compile. Call after the main module was compiled.
 *
 * @param {object} namespace the realm's WebAssembly
 * @param {Iterable<string>} admitted sha-256 of instrumented side modules, hex
 * @param {(bytes: Uint8Array) => string} sha256Hex
 * @returns {(bytes: Uint8Array) => WebAssembly.Module} compiles whatever it is given, for the host's own use
 */
export function admitOnly(namespace, admitted, sha256Hex) {
  const known = new Set(admitted);
  const { Module } = namespace;
  function AdmittedModule(source) {
    // A copy: what is checked is what is compiled, whatever the source's owner does.
    const bytes = Uint8Array.from(ArrayBuffer.isView(source) ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength) : new Uint8Array(source));
    if (isThunk(bytes) || known.has(sha256Hex(bytes))) return new Module(bytes);
    throw new namespace.CompileError("side modules are loaded from the function's wheels only");
  }
  AdmittedModule.prototype = Module.prototype;
  AdmittedModule.customSections = (module, name) => Module.customSections(module, name);
  Object.defineProperty(AdmittedModule, Symbol.hasInstance, { value: (value) => value instanceof Module });
  Object.defineProperty(Module.prototype, "constructor", { value: AdmittedModule });
  Object.defineProperty(namespace, "Module", { value: Object.freeze(AdmittedModule), writable: false, configurable: false });
  for (const name of ["compile", "instantiate", "compileStreaming", "instantiateStreaming"]) {
    Reflect.deleteProperty(namespace, name);
  }
  return (bytes) => new Module(bytes);
}

function isThunk(bytes) {
  return bytes.length <= MOST_THUNK_BYTES && !beginsWithDylink(bytes);
}

function beginsWithDylink(bytes) {
  if (bytes.length <= HEADER_BYTES || bytes[HEADER_BYTES] !== SECTION.CUSTOM) return false;
  try {
    const reader = new ByteReader(bytes, HEADER_BYTES + 1);
    return reader.part(reader.u32()).name() === "dylink.0";
  } catch {
    return true;
  }
}
