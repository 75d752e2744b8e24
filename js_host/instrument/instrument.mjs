// Instruments one module: NaN bits canonical, fuel and stack counted, nothing in it that the profile does not know.
//
// Pure: the same bytes in give the same bytes out, on every engine. What comes out is valid if what went in is; types
// are the engine's to check, when it compiles the result.

import { ByteReader, ByteWriter, WasmError } from "./bytes.mjs";
import { countedFunctions } from "./call_graph.mjs";
import { FuelPlan } from "./fuel_plan.mjs";
import { Instructions } from "./function_reader.mjs";
import { FunctionWriter } from "./function_writer.mjs";
import { keepsState } from "./hidden_state.mjs";
import { readModule, scopeOf, SECTION, SECTION_ORDER, VALUE } from "./module_reader.mjs";
import { NanEverywherePlan, NanPlan } from "./nan_plan.mjs";
import { refuseReservedNames, refuseScripts } from "./refusals.mjs";
import { FUEL_NAME, SECTION_WRITERS } from "./section_writers.mjs";
import { findStackPointer, STACK_POINTER, StackPlan } from "./stack_plan.mjs";

/** Says where a side module wants its memory and tables; the loader needs it, first in the file. */
const DYLINK = "dylink.0";

/**
 * @typedef {object} Report
 * @property {number} functions
 * @property {number} instructions
 * @property {number} payments places where fuel is paid
 * @property {number} nan_makers instructions that may make a NaN
 * @property {number} nan_sites places where a NaN is made canonical
 * @property {boolean} keeps_state whether a side module can keep state outside its memory (hidden_state.mjs)
 * @property {number} stack_users functions that take of the guest's stack, by their own frame or ours
 */

/**
 * Instrument a module.
 *
 * @param {Uint8Array} bytes
 * @param {object} options
 * @param {"main" | "side"} options.kind whether the module owns the fuel counter, or imports the main module's
 * @param {boolean | "everywhere"} [options.nan] make NaNs canonical; off only to measure, "everywhere" only to test
 * @param {boolean} [options.fuel] count fuel; off only to measure
 * @param {boolean} [options.stack] with fuel: count the stack; off only to measure
 * @returns {{bytes: Uint8Array, report: Report}}
 * @throws {WasmError} the module is malformed or not in the profile
 */
export function instrument(bytes, { kind, nan = true, fuel = true, stack = fuel }) {
  if (kind !== "main" && kind !== "side") throw new TypeError(`kind is "main" or "side", not "${kind}"`);
  const module = readModule(bytes);
  const isSide = kind === "side";
  refuseReservedNames(module);
  if (isSide) refuseScripts(module);
  if (isSide && module.sections[0]?.name !== DYLINK) throw new WasmError(`a side module begins with section ${DYLINK}`);
  const report = { functions: module.bodies.length, instructions: 0, payments: 0, nan_makers: 0, nan_sites: 0, stack_users: 0,
    keeps_state: isSide && keepsState(module) };
  const globals = placeGlobals(module, { isSide, fuel, stack: fuel && stack });
  return { bytes: writeModule({ module, isSide, nan, countsFuel: fuel, ...globals, report }), report };
}

/** Where the counter and the stack pointer stand in the new module, and where its own globals have moved to. */
function placeGlobals(module, { isSide, fuel, stack }) {
  const counter = isSide ? module.importedGlobals : module.globals;
  const pointer = stack ? findStackPointer(module, isSide) : -1;
  const counted = stack && (isSide || pointer >= 0) ? countedFunctions(module) : null;
  const addedImports = isSide && fuel ? [{ name: FUEL_NAME, type: VALUE.I64 }] : [];
  const lacksPointer = isSide && pointer < 0 && counted?.includes(1);
  if (lacksPointer) addedImports.push({ name: STACK_POINTER, type: VALUE.I32 });
  const globalIndex = (index) => {
    // Behind the last global the counter would come to stand.
    if (index >= module.globals) throw new WasmError(`global ${index} does not exist`);
    return index >= counter ? index + addedImports.length : index;
  };
  return {
    fuel: counter,
    stackPlan: counted === null ? null : new StackPlan(pointer, counted),
    stackPointer: lacksPointer ? counter + 1 : pointer < 0 ? -1 : globalIndex(pointer),
    blockTypes: counted === null ? [] : module.types.map(({ results }) => results).filter(({ length }) => length > 1),
    addedImports,
    globalIndex,
  };
}

function writeModule(context) {
  const { module, countsFuel } = context;
  const out = new ByteWriter(Math.ceil(module.bytes.length * 1.2) + 4096);
  out.copy(module.bytes, 0, 8);
  for (const section of sectionsToWrite(context)) {
    const content = new ByteWriter(section.to - section.from + 1024);
    const reader = new ByteReader(section.bytes ?? module.bytes, section.from, section.to);
    if (section.id === SECTION.CODE) writeBodies(content, context);
    else if (countsFuel && section.id in SECTION_WRITERS) SECTION_WRITERS[section.id](reader, content, context);
    else {
      if (section.name !== null) content.name(section.name);
      content.copy(reader.bytes, reader.at, reader.end);
    }
    out.u8(section.id);
    out.sized(content);
  }
  return out.view().slice();
}

/** An empty vector, for a section that the module does not have and the counter needs. */
const EMPTY = Uint8Array.of(0);

/** Custom sections are dropped (names and debug information would point to what has moved), except the loader's. */
function sectionsToWrite({ module, isSide, countsFuel }) {
  const kept = module.sections.filter(({ id }) => id !== SECTION.CUSTOM);
  const needed = !countsFuel ? [] : isSide ? [SECTION.IMPORT] : [SECTION.GLOBAL, SECTION.EXPORT];
  for (const id of needed) {
    if (!kept.some((section) => section.id === id)) kept.push({ id, name: null, from: 0, to: 1, bytes: EMPTY });
  }
  kept.sort((one, other) => SECTION_ORDER.indexOf(one.id) - SECTION_ORDER.indexOf(other.id));
  return [...module.sections.filter(({ name }) => name === DYLINK).slice(0, 1), ...kept];
}

function writeBodies(out, { module, nan, countsFuel, fuel, stackPlan, stackPointer, blockTypes, globalIndex, report }) {
  const { bytes, bodies } = module;
  const body = new Instructions();
  const fuelPlan = countsFuel ? new FuelPlan() : null;
  const nanPlan = nan === "everywhere" ? new NanEverywherePlan() : nan ? new NanPlan() : null;
  const addedTypes = blockTypes.map((results, i) => ({ results, index: module.types.length + i }));
  const writer = new FunctionWriter(bytes, { fuel, stackPointer, globalIndex, addedTypes });
  out.u32(bodies.length);
  bodies.forEach((range, i) => {
    const scope = scopeOf(module, i);
    body.read(bytes, range, scope);
    fuelPlan?.make(body);
    stackPlan?.make(body, i);
    nanPlan?.make(body, scope);
    out.sized(writer.write(body, { fuelPlan, stackPlan, nanPlan, results: scope.results }));
    report.instructions += body.count;
    report.payments += fuelPlan?.payments ?? 0;
    report.nan_makers += nanPlan?.made ?? 0;
    report.nan_sites += nanPlan?.sites ?? 0;
    report.stack_users += stackPlan?.counted[i] ?? 0;
  });
}
