// How deep a guest may recurse: the guest's own stack, whose end is the same everywhere, is made to end first.
//
// Compiled C keeps on its stack in linear memory only what needs an address, so that recursion can use up the host's
// stack, whose size and frames differ by engine, while the guest's stands still. Every function through which recursion
// passes is made to take some of it: one that has no frame there is given one, one that has is left as it is. So
// CPython's own checks, which measure the guest's stack, see all recursion; where there are none, the end is a trap.

import { WasmError } from "./bytes.mjs";
import { KIND } from "./module_reader.mjs";
import { OP } from "./opcodes.mjs";

export const STACK_POINTER = "__stack_pointer";

/** Where the pinned main module's stack ends, in bytes of linear memory; below it lie its data. */
export const STACK_LOW = 4_052_560;

/** Room below the last frame for functions that are not checked. CPython keeps away from the end by twice this. */
const RESERVE = 4096;

/** Largest frame of a function that is not checked: a chain of them fits into the reserve. */
const SMALL_FRAME = 256;

/** Least stack pointer of a counted function. */
export const STACK_LIMIT = STACK_LOW + RESERVE;

/** What a frame of the host takes at most, in bytes: some registers, and 16 for each local (JavaScriptCore's interpreter). */
const hostFrame = (locals) => 256 + 16 * locals;

/** Host bytes that one byte of the guest's stack stands for, of the 100 that there are: 1 GiB for 10 MiB. */
const HOST_SHARE = 64;

/** Alignment of the C ABI. */
const ALIGNMENT = 16;

/** Before the function does anything else: then there is a frame of its own on all its ways. */
const ENDS_PROLOGUE = new Set([
  OP.LOOP, OP.IF, OP.ELSE, OP.CATCH, OP.CATCH_ALL, OP.THROW, OP.RETHROW, OP.END, OP.DELEGATE, OP.BR, OP.BR_IF, OP.BR_TABLE,
  OP.RETURN, OP.UNREACHABLE, OP.CALL, OP.CALL_INDIRECT,
]);

export class StackPlan {
  /** Bytes that the function takes of the guest's stack while it runs; 0 if it has a frame, or is not counted. */
  takes = 0;
  /** Instruction after which the function's own frame stands, and the limit is checked; -1 if there is none. */
  framedAt = -1;
  /** Whether handlers must put the stack pointer back: what threw has not. */
  catches = false;

  /**
   * @param {number} pointer index of the stack pointer among the globals of the incoming module; -1: it is added
   * @param {Uint8Array} counted flags of the module's own functions
   */
  constructor(pointer, counted) {
    this.pointer = pointer;
    this.counted = counted;
  }

  /** @param {import("./function_reader.mjs").Instructions} body of own function i */
  make(body, i) {
    this.takes = 0;
    this.framedAt = -1;
    this.catches = false;
    const frame = this.#findFrame(body);
    if (this.counted[i] || frameSize(body, frame) > SMALL_FRAME) this.framedAt = frame;
    if (!this.counted[i] || frame >= 0) return;
    const needed = hostFrame(body.locals.length) / HOST_SHARE;
    this.takes = ALIGNMENT * Math.ceil(needed / ALIGNMENT);
    for (let at = 0; at < body.count; at++) this.catches ||= body.code[at] === OP.CATCH || body.code[at] === OP.CATCH_ALL;
  }

  #findFrame(body) {
    if (this.pointer < 0) return -1;
    for (let at = 0; at < body.count && !ENDS_PROLOGUE.has(body.code[at]); at++) {
      if (body.code[at] === OP.GLOBAL_SET && body.argument[at] === this.pointer) return at;
    }
    return -1;
  }
}

/** Bytes of the frame that the stack pointer is set for at `at`: after `pointer - size`, or `pointer + -size`. */
function frameSize(body, at) {
  const known = at >= 3 && body.code[at - 3] === OP.I32_CONST && [OP.I32_SUB, OP.I32_ADD].includes(body.code[at - 2]);
  if (at < 0) return 0;
  return known ? Math.abs(body.argument[at - 3]) : Infinity;
}

/**
 * Find the stack pointer: the main module exports it, side modules import it.
 *
 * @returns {number} its index; -1 if the module has none
 * @throws {WasmError} the main module's stack is not where the limit says
 */
export function findStackPointer({ imports, exports, globalConstants, importedGlobals }, isSide) {
  if (isSide) {
    // The loader has a global of its own for every name that a module asks of `GOT.mem`.
    const isPointer = ({ module, name }) => module === "env" && name === STACK_POINTER;
    return imports.filter(({ kind }) => kind === KIND.GLOBAL).findIndex(isPointer);
  }
  const exported = (title) => exports.find(({ name, kind }) => name === title && kind === KIND.GLOBAL)?.index ?? -1;
  const pointer = exported(STACK_POINTER);
  const low = globalConstants[exported("__stack_low") - importedGlobals];
  if (pointer >= 0 && low !== STACK_LOW) throw new WasmError(`the stack ends at ${low}, and not at ${STACK_LOW}`);
  return pointer;
}
