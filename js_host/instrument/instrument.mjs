// Instruments one module: NaN bits canonical, fuel counted, nothing in it that the profile does not know.
//
// Pure: the same bytes in give the same bytes out, on every engine. What comes out is valid if what went in is; types
// are the engine's to check, when it compiles the result.

import { ByteReader, ByteWriter, WasmError } from "./bytes.mjs";
import { FuelPlan } from "./fuel_plan.mjs";
import { Instructions } from "./function_reader.mjs";
import { FunctionWriter } from "./function_writer.mjs";
import { readModule, SECTION, SECTION_ORDER } from "./module_reader.mjs";
import { NanEverywherePlan, NanPlan } from "./nan_plan.mjs";
import { refuseReservedNames, refuseScripts } from "./refusals.mjs";
import { SECTION_WRITERS } from "./section_writers.mjs";

/** Says where a side module wants its memory and tables; the loader needs it, first in the file. */
const DYLINK = "dylink.0";

/**
 * @typedef {object} Report
 * @property {number} functions
 * @property {number} instructions
 * @property {number} payments places where fuel is paid
 * @property {number} nan_makers instructions that may make a NaN
 * @property {number} nan_sites places where a NaN is made canonical
 */

/**
 * Instrument a module.
 *
 * @param {Uint8Array} bytes
 * @param {object} options
 * @param {"main" | "side"} options.kind whether the module owns the fuel counter, or imports the main module's
 * @param {boolean | "everywhere"} [options.nan] make NaNs canonical; off only to measure, "everywhere" only to test
 * @param {boolean} [options.fuel] count fuel; off only to measure
 * @returns {{bytes: Uint8Array, report: Report}}
 * @throws {WasmError} the module is malformed or not in the profile
 */
export function instrument(bytes, { kind, nan = true, fuel = true }) {
  if (kind !== "main" && kind !== "side") throw new TypeError(`kind is "main" or "side", not "${kind}"`);
  const module = readModule(bytes);
  const isSide = kind === "side";
  refuseReservedNames(module);
  if (isSide) refuseScripts(module);
  if (isSide && module.sections[0]?.name !== DYLINK) throw new WasmError(`a side module begins with section ${DYLINK}`);
  const report = { functions: module.bodies.length, instructions: 0, payments: 0, nan_makers: 0, nan_sites: 0 };
  const counter = isSide ? module.importedGlobals : module.globals;
  const globalIndex = (index) => {
    // Behind the last global the counter would come to stand.
    if (index >= module.globals) throw new WasmError(`global ${index} does not exist`);
    return fuel && isSide && index >= counter ? index + 1 : index;
  };
  const context = { module, isSide, nan, countsFuel: fuel, fuel: counter, globalIndex, report };
  return { bytes: writeModule(context), report };
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

function writeBodies(out, { module, nan, countsFuel, fuel, globalIndex, report }) {
  const { bytes, bodies, types, functionTypes, tagTypes, importedFunctions, globals } = module;
  const body = new Instructions();
  const fuelPlan = countsFuel ? new FuelPlan() : null;
  const nanPlan = nan === "everywhere" ? new NanEverywherePlan() : nan ? new NanPlan() : null;
  const writer = new FunctionWriter(bytes, { fuel, globalIndex });
  out.u32(bodies.length);
  bodies.forEach((range, i) => {
    const { params, results } = types[functionTypes[importedFunctions + i]];
    const scope = { bytes, types, functionTypes, tagTypes, globals, params, results };
    body.read(bytes, range, scope);
    fuelPlan?.make(body);
    nanPlan?.make(body, scope);
    out.sized(writer.write(body, fuelPlan, nanPlan));
    report.instructions += body.count;
    report.payments += fuelPlan?.payments ?? 0;
    report.nan_makers += nanPlan?.made ?? 0;
    report.nan_sites += nanPlan?.sites ?? 0;
  });
}
