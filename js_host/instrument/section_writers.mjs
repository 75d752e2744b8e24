// Sections that change because the fuel counter is one more global: in the main module the last, exported with all else
// that the module keeps outside its memory; in a side
// module an import, before the module's own globals, whose indices move up wherever they stand. A side module that does
// not know the stack pointer gets that, too.
//
// Source: WebAssembly core specification 2.0, 5.5. Each writer gets a reader of the old content and writes the new.

import { WasmError } from "./bytes.mjs";
import { hiddenExports } from "./hidden_state.mjs";
import { constantExpression, globalType, KIND, SECTION, VALUE } from "./module_reader.mjs";
import { OP } from "./opcodes.mjs";

/** Name of the counter: exported by the main module, imported from `env` by side modules. */
export const FUEL_NAME = "__faas_fuel";

/** What a fresh instance may burn before the host sets a limit, and the largest limit: 2**53 - 1. */
export const FULL_TANK = Number.MAX_SAFE_INTEGER;

const MUTABLE = 1;
const FUNCTION_TYPE = 0x60;

/** Types are added for the blocks around functions with several results (`blockType`). */
const typeSection = (reader, out, { blockTypes }) => {
  out.u32(reader.u32() + blockTypes.length);
  out.copy(reader.bytes, reader.at, reader.end);
  for (const results of blockTypes) {
    out.all([FUNCTION_TYPE, 0]);
    out.u32(results.length);
    out.all(results);
  }
};

const importSection = (reader, out, { addedImports }) => {
  out.u32(reader.u32() + addedImports.length);
  out.copy(reader.bytes, reader.at, reader.end);
  for (const { name, type } of addedImports) {
    out.name("env");
    out.name(name);
    out.all([KIND.GLOBAL, type, MUTABLE]);
  }
};

const globalSection = (reader, out, context) => {
  const count = reader.u32();
  out.u32(count + (context.isSide ? 0 : 1));
  for (let i = 0; i < count; i++) {
    const from = reader.at;
    globalType(reader);
    out.copy(reader.bytes, from, reader.at);
    copyConstant(reader, out, context);
  }
  if (context.isSide) return;
  out.all([VALUE.I64, MUTABLE, OP.I64_CONST]);
  out.s64(FULL_TANK);
  out.u8(OP.END);
};

const exportSection = (_reader, out, { module, isSide, fuel, globalIndex }) => {
  const entries = [...module.exports, ...(isSide ? [] : hiddenExports(module))];
  out.u32(entries.length + (isSide ? 0 : 1));
  for (const { name, kind, index } of entries) {
    out.name(name);
    out.u8(kind);
    out.u32(kind === KIND.GLOBAL ? globalIndex(index) : index);
  }
  if (isSide) return;
  out.name(FUEL_NAME);
  out.u8(KIND.GLOBAL);
  out.u32(fuel);
};

const elementSection = (reader, out, context) => {
  const count = reader.u32();
  out.u32(count);
  for (let i = 0; i < count; i++) copyElements(reader, out, context);
};

const dataSection = (reader, out, context) => {
  const count = reader.u32();
  out.u32(count);
  for (let i = 0; i < count; i++) {
    const at = reader.at;
    const form = reader.u32();
    if (form > 1) throw new WasmError(`data segment form ${form} is not in the profile`, at);
    out.u32(form);
    if (form === 0) copyConstant(reader, out, context);
    const content = reader.part(reader.u32());
    out.u32(content.end - content.at);
    out.copy(reader.bytes, content.at, content.end);
  }
};

/** By section id. */
export const SECTION_WRITERS = {
  [SECTION.TYPE]: typeSection,
  [SECTION.IMPORT]: importSection,
  [SECTION.GLOBAL]: globalSection,
  [SECTION.EXPORT]: exportSection,
  [SECTION.ELEMENT]: elementSection,
  [SECTION.DATA]: dataSection,
};

function copyConstant(reader, out, { globalIndex }) {
  let from = reader.at;
  constantExpression(reader, (start, end, index) => {
    out.copy(reader.bytes, from, start);
    out.u32(globalIndex(index));
    from = end;
  });
  out.copy(reader.bytes, from, reader.at);
}

/** Element segments have eight forms. Bit 0: passive or declared; bit 1: with a table index, or declared; bit 2: expressions. */
function copyElements(reader, out, context) {
  const at = reader.at;
  const form = reader.u32();
  if (form > 7) throw new WasmError(`element segment form ${form} is unknown`, at);
  out.u32(form);
  if ((form & 1) === 0) {
    if (form & 2) out.u32(reader.u32());
    copyConstant(reader, out, context);
  }
  if (form & 3) out.u8(reader.u8());
  const count = reader.u32();
  out.u32(count);
  for (let i = 0; i < count; i++) {
    if (form & 4) copyConstant(reader, out, context);
    else out.u32(reader.u32());
  }
}
