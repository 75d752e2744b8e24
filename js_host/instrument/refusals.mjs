// What a module may not bring: names that belong to the instrumenter, and JavaScript for the loader to evaluate.

import { WasmError } from "./bytes.mjs";

const RESERVED = "__faas_";

/** Emscripten's loader evaluates the text that these exports point to. */
const SCRIPT_EXPORTS = ["__start_em_asm", "__stop_em_asm", "__start_em_js", "__stop_em_js"];
const SCRIPT_PREFIX = "__em_js__";
const SCRIPT_SECTIONS = ["em_js", "em_asm"];

/** A module that names the fuel counter could refill it. */
export function refuseReservedNames({ imports, exports }) {
  for (const { name } of [...imports, ...exports]) {
    if (name.startsWith(RESERVED)) throw new WasmError(`"${name}" is a name of the instrumenter`);
  }
}

/** Side modules with EM_JS or EM_ASM: JavaScript that the loader would evaluate in the host. */
export function refuseScripts({ sections, exports }) {
  for (const { name } of exports) {
    if (SCRIPT_EXPORTS.includes(name) || name.startsWith(SCRIPT_PREFIX)) {
      throw new WasmError(`carries JavaScript (export "${name}"), which is not allowed in side modules`);
    }
  }
  for (const { name } of sections) {
    if (name !== null && SCRIPT_SECTIONS.some((script) => name.includes(script))) {
      throw new WasmError(`carries JavaScript (section "${name}"), which is not allowed in side modules`);
    }
  }
}
