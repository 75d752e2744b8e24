// Writes a function body anew: what stays is copied in runs, between them stand the instrumenter's own instructions.
//
// Every sequence written here leaves the operand stack as it found it, and uses only locals that it added.

import { ByteWriter } from "./bytes.mjs";
import { CANONICAL } from "./canonical_nan.mjs";
import { PAYS_BY_SIZE } from "./fuel_plan.mjs";
import { VALUE } from "./module_reader.mjs";
import { FLOAT, OP } from "./opcodes.mjs";
import { STACK_LIMIT } from "./stack_plan.mjs";

const EMPTY_TYPE = 0x40;

/** Key of the scratch local that holds the stack pointer, besides those that hold a value for a moment. */
const STACK_SAVED = "stack pointer";

export class FunctionWriter {
  #code = new ByteWriter(1 << 16);
  #out = new ByteWriter(1 << 16);
  #scratch = new Map();
  #added = [];
  #body = null;
  #copied = 0;
  /** Blocks around this point, and how many are around the closed loop that it is in (0: in none). */
  #depth = 0;
  #closedAt = 0;

  /**
   * @param {Uint8Array} bytes the module
   * @param {object} where in the instrumented module: {fuel, stackPointer: indices of these globals, globalIndex: of a
   *   global of `bytes`, addedTypes: [{results, index}] of functions without parameters}
   */
  constructor(bytes, { fuel, stackPointer, globalIndex, addedTypes }) {
    this.bytes = bytes;
    this.fuel = fuel;
    this.stackPointer = stackPointer;
    this.globalIndex = globalIndex;
    this.addedTypes = addedTypes;
  }

  /**
   * Return the new body, without its length, as a writer that is valid until the next call.
   *
   * @param {import("./function_reader.mjs").Instructions} body
   * @param {object} plans
   * @param {import("./fuel_plan.mjs").FuelPlan | null} plans.fuelPlan null to count no fuel
   * @param {import("./stack_plan.mjs").StackPlan | null} plans.stackPlan null to leave the stack as it is
   * @param {import("./nan_plan.mjs").NanPlan | null} plans.nanPlan null to leave NaNs as they are
   * @param {number[]} plans.results types of the function's results
   */
  write(body, { fuelPlan, stackPlan, nanPlan, results }) {
    this.#code.clear();
    this.#scratch.clear();
    this.#added = [];
    this.#body = body;
    this.#copied = body.at[0];
    this.#depth = 1;
    this.#closedAt = 0;
    if (fuelPlan) this.#pay(fuelPlan.entry, fuelPlan.calls);
    const takes = stackPlan?.takes ?? 0;
    if (takes > 0) this.#takeStack(stackPlan, results);
    const movesNan = nanPlan !== null && nanPlan.sites > 0;
    for (let i = 0; i < body.count; i++) {
      const code = body.code[i];
      if (fuelPlan) this.#beforeInstruction(i, code, fuelPlan);
      if (code === OP.GLOBAL_GET || code === OP.GLOBAL_SET) this.#moveGlobal(i, code);
      else if (takes > 0 && code === OP.RETURN) this.#leaveByBranch(i);
      else if (takes > 0 && code === OP.DELEGATE) this.#delegateOut(i);
      else if (movesNan && nanPlan.after[i] !== FLOAT.NONE) this.#makeCanonical(i, CANONICAL[nanPlan.after[i]]);
      if (i === stackPlan?.framedAt) this.#checkFrame(i);
      if (stackPlan?.catches && (code === OP.CATCH || code === OP.CATCH_ALL)) this.#putStackBack(i);
      if (fuelPlan && (code === OP.END || code === OP.DELEGATE)) this.#afterBlock(i);
    }
    this.#copyTo(body.count);
    if (takes > 0) this.#giveStackBack(takes);
    return this.#withLocals(body.declarations);
  }

  #copyTo(i) {
    const to = this.#body.at[i];
    this.#code.copy(this.bytes, this.#copied, to);
    this.#copied = to;
  }

  #withLocals({ from, to, groups }) {
    const out = this.#out;
    out.clear();
    out.u32(groups + this.#added.length);
    out.copy(this.bytes, from, to);
    for (const type of this.#added) {
      out.u32(1);
      out.u8(type);
    }
    out.all(this.#code.view());
    return out;
  }

  #moveGlobal(i, code) {
    const index = this.#body.argument[i];
    const moved = this.globalIndex(index);
    if (moved === index) return;
    this.#copyTo(i);
    this.#indexed(code, moved);
    this.#copied = this.#body.at[i + 1];
  }

  #makeCanonical(i, { type, nan, equal, choose }) {
    this.#copyTo(i + 1);
    const value = this.#scratchLocal(type);
    this.#indexed(OP.LOCAL_TEE, value);
    this.#code.all(nan);
    this.#indexed(OP.LOCAL_GET, value);
    this.#indexed(OP.LOCAL_GET, value);
    this.#code.all(equal);
    this.#code.all(choose);
  }

  // Stack. The body becomes a block, so that there is one way out, behind which the stack pointer is put back. A
  // function that catches keeps the pointer in a local: what threw from below has left it where it was there.

  #takeStack({ takes, catches }, results) {
    this.#indexed(OP.GLOBAL_GET, this.stackPointer);
    this.#i32Constant(takes);
    this.#code.u8(OP.I32_SUB);
    if (catches) this.#indexed(OP.LOCAL_TEE, this.#scratchLocal(STACK_SAVED));
    this.#indexed(OP.GLOBAL_SET, this.stackPointer);
    this.#checkStack();
    this.#code.u8(OP.BLOCK);
    if (results.length > 1) this.#code.s64(this.addedTypes.find((type) => type.results === results).index);
    else this.#code.u8(results[0] ?? EMPTY_TYPE);
  }

  #giveStackBack(takes) {
    this.#indexed(OP.GLOBAL_GET, this.stackPointer);
    this.#i32Constant(takes);
    this.#code.u8(OP.I32_ADD);
    this.#indexed(OP.GLOBAL_SET, this.stackPointer);
    this.#code.u8(OP.END);
  }

  #leaveByBranch(i) {
    this.#copyTo(i);
    this.#indexed(OP.BR, this.#depth - 1);
    this.#copied = this.#body.at[i + 1];
  }

  /** JavaScriptCore takes a `try` or the function itself to delegate to, and not the block that we have put between. */
  #delegateOut(i) {
    const toCaller = this.#depth - 2;
    if (this.#body.argument[i] !== toCaller) return;
    this.#copyTo(i);
    this.#indexed(OP.DELEGATE, toCaller + 1);
    this.#copied = this.#body.at[i + 1];
  }

  #checkFrame(i) {
    this.#copyTo(i + 1);
    this.#checkStack();
  }

  #putStackBack(i) {
    this.#copyTo(i + 1);
    this.#indexed(OP.LOCAL_GET, this.#scratchLocal(STACK_SAVED));
    this.#indexed(OP.GLOBAL_SET, this.stackPointer);
  }

  #checkStack() {
    this.#indexed(OP.GLOBAL_GET, this.stackPointer);
    this.#i32Constant(STACK_LIMIT);
    this.#code.all([OP.I32_LT_U, OP.IF, EMPTY_TYPE, OP.UNREACHABLE, OP.END]);
  }

  // Fuel. In a closed loop the count is kept in a local, and put back on every way out.

  #beforeInstruction(i, code, fuelPlan) {
    const amount = fuelPlan.before[i];
    if (amount > 0) {
      this.#copyTo(i);
      const check = this.#body.code[i - 1] === OP.LOOP;
      if (this.#closedAt > 0) this.#payInLoop(amount, check);
      else this.#pay(amount, check);
    }
    if (code === OP.BLOCK || code === OP.LOOP || code === OP.IF || code === OP.TRY) {
      if (code === OP.LOOP && this.#closedAt === 0 && fuelPlan.isClosed[i]) this.#beginClosedLoop(i);
      this.#depth += 1;
    } else if (this.#closedAt > 0 && this.#leavesLoop(i, code)) {
      this.#copyTo(i);
      this.#putBack();
    } else if (PAYS_BY_SIZE.has(code)) {
      this.#copyTo(i);
      this.#payBySize(PAYS_BY_SIZE.get(code));
    }
  }

  #afterBlock(i) {
    this.#depth -= 1;
    if (this.#closedAt === 0 || this.#depth !== this.#closedAt) return;
    this.#copyTo(i + 1);
    this.#putBack();
    this.#closedAt = 0;
  }

  #beginClosedLoop(i) {
    this.#copyTo(i);
    this.#indexed(OP.GLOBAL_GET, this.fuel);
    this.#indexed(OP.LOCAL_SET, this.#scratchLocal(VALUE.I64));
    this.#closedAt = this.#depth;
  }

  /** Whether the instruction may leave the closed loop. */
  #leavesLoop(i, code) {
    if (code === OP.RETURN) return true;
    const leaves = (label) => this.#depth - 1 - label < this.#closedAt;
    const argument = this.#body.argument[i];
    if (code === OP.BR || code === OP.BR_IF) return leaves(argument);
    return code === OP.BR_TABLE && this.#body.labels[argument].some(leaves);
  }

  #putBack() {
    this.#indexed(OP.LOCAL_GET, this.#scratchLocal(VALUE.I64));
    this.#indexed(OP.GLOBAL_SET, this.fuel);
  }

  #pay(amount, check) {
    this.#indexed(OP.GLOBAL_GET, this.fuel);
    this.#constant(amount);
    this.#code.u8(OP.I64_SUB);
    // By way of a local: engines do not see that the global is what they have just written.
    if (check) this.#indexed(OP.LOCAL_TEE, this.#scratchLocal(VALUE.I64));
    this.#indexed(OP.GLOBAL_SET, this.fuel);
    if (!check) return;
    this.#indexed(OP.LOCAL_GET, this.#scratchLocal(VALUE.I64));
    this.#trapIfNegative(() => {});
  }

  #payInLoop(amount, check) {
    const left = this.#scratchLocal(VALUE.I64);
    this.#indexed(OP.LOCAL_GET, left);
    this.#constant(amount);
    this.#code.u8(OP.I64_SUB);
    this.#indexed(check ? OP.LOCAL_TEE : OP.LOCAL_SET, left);
    if (check) this.#trapIfNegative(() => this.#putBack());
  }

  /** The operand on top counts bytes or entries; it stays there. */
  #payBySize(shift) {
    const size = this.#scratchLocal(VALUE.I32);
    this.#indexed(OP.LOCAL_TEE, size);
    this.#indexed(OP.GLOBAL_GET, this.fuel);
    this.#indexed(OP.LOCAL_GET, size);
    this.#code.u8(OP.I64_EXTEND_I32_U);
    this.#constant(shift);
    this.#code.u8(OP.I64_SHR_U);
    this.#code.u8(OP.I64_SUB);
    this.#indexed(OP.GLOBAL_SET, this.fuel);
    this.#indexed(OP.GLOBAL_GET, this.fuel);
    this.#trapIfNegative(() => {});
  }

  /** No WebAssembly handler catches the trap; the host sees it, and the counter below zero. */
  #trapIfNegative(beforeTrap) {
    this.#constant(0);
    this.#code.all([OP.I64_LT_S, OP.IF, EMPTY_TYPE]);
    beforeTrap();
    this.#code.all([OP.UNREACHABLE, OP.END]);
  }

  #i32Constant(value) {
    this.#code.u8(OP.I32_CONST);
    this.#code.s64(value);
  }

  #constant(value) {
    this.#code.u8(OP.I64_CONST);
    this.#code.s64(value);
  }

  #indexed(opcode, index) {
    this.#code.u8(opcode);
    this.#code.u32(index);
  }

  /** Index of an added local: one for each type, and one for the stack pointer, which others must not overwrite. */
  #scratchLocal(key) {
    if (!this.#scratch.has(key)) {
      const type = key === STACK_SAVED ? VALUE.I32 : key;
      this.#scratch.set(key, this.#body.locals.length + this.#added.push(type) - 1);
    }
    return this.#scratch.get(key);
  }
}
