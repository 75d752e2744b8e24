// Where a function pays for fuel, and how much.
//
// One backward pass finds, for every point, the longest path from there to where fuel is paid next. Functions, loops
// and handlers pay for that path when they begin; so does every branch and every end of a block from where the path is
// longer than SLACK. So what was paid is never less than the weight of what was executed, and each payment exceeds it
// by at most SLACK. docs/instrumentation.md has the argument and the price of finer accounts.

import { OP, weightOf } from "./opcodes.mjs";

/** By how much a payment may exceed what is executed after it. */
export const SLACK = 32;

/** Instructions whose duration depends on an operand: log2 of the bytes (or entries) that one unit pays for. */
export const PAYS_BY_SIZE = new Map([
  [OP.MEMORY_INIT, 4], [OP.MEMORY_COPY, 4], [OP.MEMORY_FILL, 4],
  [OP.TABLE_INIT, 0], [OP.TABLE_COPY, 0], [OP.TABLE_GROW, 0], [OP.TABLE_FILL, 0],
]);

export class FuelPlan {
  /** Fuel paid on entering the function. */
  entry = 0;
  /** Fuel paid before instruction i, or 0. */
  before = new Int32Array(1 << 12);
  /** For `loop` instructions: 1 if nothing in the loop can pay elsewhere, so that the count may stay in a local. */
  isClosed = new Uint8Array(1 << 12);
  /** Whether the function calls: then its entry must check, since recursion may pass there. */
  calls = false;
  payments = 0;

  #ahead = 0;
  #loops = 0;
  #blocks = [];

  /** @param {import("./function_reader.mjs").Instructions} body */
  make(body) {
    if (this.before.length <= body.count) {
      this.before = new Int32Array(body.code.length + 1);
      this.isClosed = new Uint8Array(body.code.length + 1);
    }
    this.before.fill(0, 0, body.count + 1);
    this.payments = 0;
    this.#ahead = 0;
    this.#loops = 0;
    this.#blocks = [];
    this.calls = false;
    for (let i = body.count - 1; i >= 0; i--) this.#stepBack(body, i);
    this.entry = this.#ahead;
    this.payments += 1;
  }

  /** `#ahead` is the longest path from after instruction i; make it the one from before. */
  #stepBack(body, i) {
    const code = body.code[i];
    switch (code) {
      case OP.END:
      case OP.DELEGATE:
        this.#enter(i, code === OP.END && body.argument[i] === OP.LOOP);
        break;
      case OP.ELSE:
        this.#payIfLong(i);
        this.#blocks.at(-1).otherwise = this.#ahead;
        this.#ahead = this.#blocks.at(-1).after;
        break;
      case OP.CATCH:
      case OP.CATCH_ALL:
        this.#pay(i);
        this.#ahead = this.#blocks.at(-1).after;
        break;
      case OP.IF:
        this.#payIfLong(i);
        this.#ahead = Math.max(this.#ahead, this.#leave().otherwise);
        break;
      case OP.LOOP:
        this.#beginLoop(i);
        break;
      case OP.BLOCK:
      case OP.TRY:
        this.#leave();
        break;
      case OP.BR:
        this.#ahead = this.#fromLabel(body.argument[i]);
        break;
      case OP.BR_IF:
        this.#payIfLong(i);
        this.#ahead = Math.max(this.#ahead, this.#fromLabel(body.argument[i]));
        break;
      case OP.BR_TABLE:
        this.#ahead = 0;
        for (const label of body.labels[body.argument[i]]) this.#ahead = Math.max(this.#ahead, this.#fromLabel(label));
        break;
      case OP.RETURN:
      case OP.UNREACHABLE:
        this.#ahead = 0;
        break;
      case OP.THROW:
      case OP.RETHROW:
        this.#ahead = 0;
        this.#callsOut();
        break;
      case OP.CALL:
      case OP.CALL_INDIRECT:
        this.calls = true;
        this.#callsOut();
        break;
      default:
        if (PAYS_BY_SIZE.has(code)) this.#callsOut();
    }
    this.#ahead += weightOf[code];
  }

  /** The end of a block, met first because the pass goes backward. */
  #enter(i, isLoop) {
    this.#payIfLong(i);
    const after = this.#ahead;
    this.#blocks.push({ isLoop, after, otherwise: after, exits: after, loops: this.#loops, closed: true });
    if (!isLoop) return;
    this.#loops += 1;
    this.#ahead = 0;
  }

  #leave() {
    const block = this.#blocks.pop();
    if (!block.closed) this.#callsOut();
    return block;
  }

  #beginLoop(i) {
    this.#pay(i);
    const block = this.#leave();
    this.isClosed[i] = block.closed ? 1 : 0;
    this.#loops -= 1;
    this.#ahead = block.exits;
  }

  /** The longest path from a label, as far as it belongs to the region of the branch. */
  #fromLabel(label) {
    const at = this.#blocks.length - 1 - label;
    const target = this.#blocks[at];
    if (target.isLoop) return 0;
    if (target.loops === this.#loops) return target.after;
    // The branch leaves loops: what follows is paid for where the outermost of them is entered.
    let left = at + 1;
    while (!this.#blocks[left].isLoop) left += 1;
    this.#blocks[left].exits = Math.max(this.#blocks[left].exits, target.after);
    return 0;
  }

  #callsOut() {
    if (this.#blocks.length > 0) this.#blocks.at(-1).closed = false;
  }

  #payIfLong(i) {
    if (this.#ahead > SLACK) this.#pay(i);
  }

  /** Pay after instruction i for all that is ahead. */
  #pay(i) {
    this.before[i + 1] = this.#ahead;
    this.#ahead = 0;
    this.payments += 1;
  }
}
