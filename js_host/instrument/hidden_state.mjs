// What an instance can keep outside its memory, where an image does not see it.
//
// Memory is laid over, and what the main module keeps in globals and tables of its own is exported under reserved names,
// for the host alone. A side module may have such globals too; compiled C and C++ set them while the module starts and
// never after, so a started instance is like any other. A module that changes them later, or has a memory of its own,
// keeps state of which nobody can prove that it is gone.

import { addressesInTables } from "./call_graph.mjs";
import { Instructions } from "./function_reader.mjs";
import { KIND, scopeOf } from "./module_reader.mjs";
import { OP } from "./opcodes.mjs";
import { findStackPointer } from "./stack_plan.mjs";

/** Names of the main module's own globals and tables, with the index behind them. */
export const HIDDEN_GLOBAL = "__faas_global_";
export const HIDDEN_TABLE = "__faas_table_";

const CHANGES_TABLES_OR_SEGMENTS = new Set([
  OP.TABLE_SET, OP.TABLE_INIT, OP.TABLE_COPY, OP.TABLE_GROW, OP.TABLE_FILL, OP.DATA_DROP, OP.ELEM_DROP, OP.MEMORY_GROW,
]);

const exportedOf = ({ exports }, wanted) =>
  new Set(exports.filter(({ kind }) => kind === wanted).map(({ index }) => index));

/** The exports that show what the main module hides: globals that can change, and tables. */
export function hiddenExports(module) {
  const [globals, tables] = [exportedOf(module, KIND.GLOBAL), exportedOf(module, KIND.TABLE)];
  const hidden = module.mutableGlobals.filter((index) => !globals.has(index));
  const entries = hidden.map((index) => ({ name: `${HIDDEN_GLOBAL}${index}`, kind: KIND.GLOBAL, index }));
  for (let index = 0; index < module.tables; index++) {
    if (!tables.has(index)) entries.push({ name: `${HIDDEN_TABLE}${index}`, kind: KIND.TABLE, index });
  }
  return entries;
}

/**
 * Whether a side module can change, once it has started, what no image holds: a global, its own or one that it shares
 * with the loader, other than the stack pointer; a table; a segment; a memory of its own.
 *
 * @param {import("./module_reader.mjs").Module} module before it is instrumented
 */
export function keepsState(module) {
  const { bytes, bodies, start, importedFunctions, memories } = module;
  if (memories > 0) return true;
  const pointer = findStackPointer(module, true);
  let startChanges = false;
  let startRunsAgain = canBeNamed(module, start);
  const body = new Instructions();
  const others = bodies.some((range, i) => {
    body.read(bytes, range, scopeOf(module, i));
    let changes = false;
    for (let at = 0; at < body.count; at++) {
      const code = body.code[at];
      const argument = body.argument[at];
      if (CHANGES_TABLES_OR_SEGMENTS.has(code) || (code === OP.GLOBAL_SET && argument !== pointer)) changes = true;
      if ((code === OP.CALL || code === OP.REF_FUNC) && argument === start) startRunsAgain = true;
    }
    if (i + importedFunctions !== start) return changes;
    startChanges = changes;
    return false;
  });
  return others || (startChanges && startRunsAgain);
}

/** Whether a function is exported or in a table, so that somebody else can call it. */
function canBeNamed(module, index) {
  const isExported = module.exports.some((entry) => entry.kind === KIND.FUNCTION && entry.index === index);
  return isExported || addressesInTables(module).has(index - module.importedFunctions);
}
