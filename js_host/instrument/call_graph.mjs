// Which functions can stand on the stack any number of times, as far as a module shows it.
//
// Control comes back to a function that has not returned either by direct calls alone, or by way of a call that leaves
// what can be followed: through the table, or to another module or the host. What comes in from there again enters a
// function whose address was taken. So every cycle holds one of: a function whose address is taken and from which such a
// call can be reached, or a function in a cycle of direct calls. Exports that other modules call by name are not
// counted: those modules' own functions, which they come back through, are.

import { ByteReader } from "./bytes.mjs";
import { Instructions } from "./function_reader.mjs";
import { constantExpression, scopeOf, SECTION, vector } from "./module_reader.mjs";
import { OP } from "./opcodes.mjs";

/**
 * Return a flag for each of the module's own functions: 1 if every round of recursion through it has to be counted.
 *
 * Functions that catch exceptions are flagged too: what they call may leave without giving back what it has taken.
 *
 * @param {import("./module_reader.mjs").Module} module
 * @returns {Uint8Array}
 */
export function countedFunctions(module) {
  const graph = readCalls(module);
  const reaching = functionsThatReach(graph);
  const counted = graph.catches.slice();
  for (const i of graph.taken) if (reaching[i]) counted[i] = 1;
  for (const i of inDirectCycles(graph.callees, counted)) counted[i] = 1;
  return counted;
}

/** Callees by direct call, whether a function calls what cannot be followed, whether it catches, whose address is taken. */
function readCalls(module) {
  const { bodies, importedFunctions } = module;
  const graph = {
    callees: [], leaves: new Uint8Array(bodies.length), catches: new Uint8Array(bodies.length),
    taken: addressesInTables(module),
  };
  const body = new Instructions();
  bodies.forEach((range, i) => {
    body.read(module.bytes, range, scopeOf(module, i));
    const callees = new Set();
    for (let at = 0; at < body.count; at++) {
      const code = body.code[at];
      const callee = body.argument[at] - importedFunctions;
      if (code === OP.CALL_INDIRECT || (code === OP.CALL && callee < 0)) graph.leaves[i] = 1;
      else if (code === OP.CALL) callees.add(callee);
      else if (code === OP.CATCH || code === OP.CATCH_ALL) graph.catches[i] = 1;
      else if (code === OP.REF_FUNC && callee >= 0) graph.taken.add(callee);
    }
    graph.callees.push([...callees]);
  });
  return graph;
}

/** Own functions in element segments. */
export function addressesInTables({ bytes, sections, importedFunctions }) {
  const taken = new Set();
  const take = (index) => index >= importedFunctions && taken.add(index - importedFunctions);
  const section = sections.find(({ id }) => id === SECTION.ELEMENT);
  if (section === undefined) return taken;
  const reader = new ByteReader(bytes, section.from, section.to);
  vector(reader, () => {
    const form = reader.u32();
    if ((form & 1) === 0) {
      if (form & 2) reader.u32();
      constantExpression(reader, () => {});
    }
    if (form & 3) reader.u8();
    vector(reader, () => {
      if (form & 4) constantExpression(reader, () => {}, take);
      else take(reader.u32());
    });
  });
  return taken;
}

/** From which functions a call that cannot be followed is reached. */
function functionsThatReach({ callees, leaves }) {
  const callers = callees.map(() => []);
  callees.forEach((list, caller) => list.forEach((callee) => callers[callee].push(caller)));
  const reaching = leaves.slice();
  const waiting = [...reaching.keys()].filter((i) => reaching[i]);
  while (waiting.length > 0) {
    for (const caller of callers[waiting.pop()]) {
      if (reaching[caller]) continue;
      reaching[caller] = 1;
      waiting.push(caller);
    }
  }
  return reaching;
}

/**
 * Yield the functions in cycles of direct calls that no function in `broken` takes part in.
 *
 * Strongly connected components after Tarjan (1972), without recursion: modules are strangers'.
 */
function* inDirectCycles(callees, broken) {
  const order = new Int32Array(callees.length).fill(-1);
  const low = new Int32Array(callees.length);
  const isOpen = new Uint8Array(callees.length);
  const open = [];
  let next = 0;
  for (let root = 0; root < callees.length; root++) {
    const path = broken[root] || order[root] >= 0 ? [] : [{ i: root, edge: 0 }];
    while (path.length > 0) {
      const step = path.at(-1);
      const { i } = step;
      if (order[i] < 0) {
        order[i] = low[i] = next++;
        isOpen[i] = open.push(i) && 1;
      }
      const callee = callees[i][step.edge++];
      if (callee === undefined) {
        path.pop();
        if (path.length > 0) low[path.at(-1).i] = Math.min(low[path.at(-1).i], low[i]);
        if (low[i] === order[i]) yield* close(i);
      } else if (broken[callee]) continue;
      else if (order[callee] < 0) path.push({ i: callee, edge: 0 });
      else if (isOpen[callee]) low[i] = Math.min(low[i], order[callee]);
    }
  }

  function* close(root) {
    const members = open.splice(open.lastIndexOf(root));
    for (const i of members) isOpen[i] = 0;
    if (members.length > 1 || callees[root].includes(root)) yield* members;
  }
}
