// Random valid modules, made from a seed: floats through locals, blocks, loops, calls, handlers and memory.
//
// Code is a list of [code, bytes] pairs, so that the same program can also be written with a count of the weight of
// every instruction it executes (`counting`): an account of fuel that knows nothing of paths and payments.

import { weightOf } from "../../../js_host/instrument/opcodes.mjs";
import { assemble, EMPTY, F32, F64, I32, I64, s64, STACK_EXPORTS, STACK_GLOBALS, u32 } from "./wasm_assembly.mjs";

/** mulberry32. */
export function random(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  };
  return { below: (n) => next() % n, pick: (list) => list[next() % list.length], chance: (p) => next() / 2 ** 32 < p };
}

const op = (code, ...bytes) => [code, bytes.flat(Infinity)];
const END = op(0x0b);

/** Locals of every function: two parameters (i32, f64), then these. */
const LOCALS = [I32, I32, I32, F64, F64, F64, F32, F32];
const OF_TYPE = { [I32]: [0, 2], [F64]: [1, 5, 6, 7], [F32]: [8, 9] };
const COUNTERS = [3, 4];

const UNARY = { [F64]: [0x99, 0x9f], [F32]: [0x8b, 0x91] };
const BINARY = { [F64]: [0xa0, 0xa6], [F32]: [0x92, 0x98] };

class Program {
  constructor(seed, { handlers, blind, local }) {
    this.random = random(seed);
    this.handlers = handlers;
    this.blind = blind;
    this.local = local;
    this.out = [];
  }

  emit(...pairs) {
    this.out.push(...pairs);
  }

  expression(type, depth) {
    const { random } = this;
    if (this.local) return type === I32 ? this.coin() : this.emit(op(0x20, u32(random.pick(OF_TYPE[type]))));
    const leaf = depth <= 0 || random.chance(0.2);
    if (type === I32) return this.integer(depth, leaf);
    const choice = leaf ? random.below(3) : 3 + random.below(8);
    if (choice === 0) this.emit(op(0x20, u32(random.pick(OF_TYPE[type]))));
    else if (choice === 1) this.constant(type);
    else if (choice === 2) this.load(type);
    else if (choice <= 5) this.apply(type, BINARY, 2, depth);
    else if (choice === 6) this.apply(type, UNARY, 1, depth);
    else if (choice === 7) {
      this.expression(type, depth - 1);
      this.expression(type, depth - 1);
      this.expression(I32, depth - 2);
      this.emit(op(0x1b));
    } else if (choice === 8) {
      this.expression(type, depth - 1);
      this.emit(op(0x22, u32(random.pick(OF_TYPE[type]))));
    } else if (choice === 9) {
      this.expression(type === F64 ? F32 : F64, depth - 1);
      this.emit(op(type === F64 ? 0xbb : 0xb6));
    } else this.conditional(type, depth);
    return undefined;
  }

  apply(type, table, operands, depth) {
    for (let i = 0; i < operands; i++) this.expression(type, depth - 1);
    const [first, last] = table[type];
    // The last binary one is copysign, which looks at the sign of a NaN.
    const choices = last - first + (this.blind && operands === 2 ? 0 : 1);
    this.emit(op(first + this.random.below(choices)));
  }

  conditional(type, depth) {
    this.expression(I32, depth - 2);
    this.emit(op(0x04, type));
    this.expression(type, depth - 1);
    this.emit(op(0x05));
    this.expression(type, depth - 1);
    this.emit(END);
  }

  integer(depth, leaf) {
    const { random } = this;
    if (leaf) this.emit(random.chance(0.5) ? op(0x20, u32(random.pick(OF_TYPE[I32]))) : op(0x41, s64(random.below(100))));
    else if (random.chance(0.6)) {
      const type = random.pick([F64, F32]);
      this.expression(type, depth - 1);
      this.expression(type, depth - 1);
      this.emit(op((type === F64 ? 0x61 : 0x5b) + random.below(6)));
    } else if (!this.blind && random.chance(0.5)) {
      this.expression(F32, depth - 1);
      this.emit(op(0xbc));
    } else {
      this.expression(F64, depth - 1);
      this.emit(op(0xfc, 2)); // i32.trunc_sat_f64_s; its code is 0x102, of the same weight
    }
  }

  /** A condition that comes out differently each time: a linear congruential generator in local 2. */
  coin() {
    this.emit(op(0x20, 2), op(0x41, s64(1103515245)), op(0x6c), op(0x41, s64(12345 + this.random.below(999))), op(0x6a));
    this.emit(op(0x22, 2), op(0x41, s64(17)), op(0x76), op(0x41, s64(1)), op(0x71));
  }

  constant(type) {
    const values = [0, -0, 1, -1.5, Infinity, -Infinity, 1e300, NaN];
    const array = type === F64 ? Float64Array : Float32Array;
    this.emit(op(type === F64 ? 0x44 : 0x43, [...new Uint8Array(array.of(this.random.pick(values)).buffer)]));
  }

  /** f64 in the first KiB; f32 in the second, or, where programs may look at bits, over the same bytes as f64. */
  offset(type) {
    return u32(type === F32 && (this.blind || this.random.chance(0.5)) ? 1024 : 0);
  }

  address() {
    this.expression(I32, 0);
    this.emit(op(0x41, s64(0x3f8)), op(0x71));
  }

  load(type) {
    this.address();
    this.emit(op(type === F64 ? 0x2b : 0x2a, 0, this.offset(type)));
  }

  statement(depth, labels) {
    const { random } = this;
    const choice = random.below(depth > 0 ? 12 : 4);
    if (this.local && choice < 4) this.move();
    else if (choice < 2) this.assign(random.pick([F64, F64, F32, I32]));
    else if (choice < 4) this.store();
    else if (choice === 4) this.nest(op(0x02, EMPTY), depth, [...labels, "block"]);
    else if (choice === 5) {
      this.expression(I32, 2);
      this.nest(op(0x04, EMPTY), depth, [...labels, "block"], random.chance(0.5) ? [op(0x05)] : []);
    } else if (choice === 6) this.repeat(depth, labels);
    else if (choice === 7) this.branch(labels);
    else if (choice === 8) this.choose(labels);
    else if (choice === 9) this.callOther();
    else if (choice === 10 && this.handlers) this.handle(depth, labels);
    else this.maybeReturn();
  }

  assign(type) {
    this.expression(type, 3);
    this.emit(op(0x21, u32(this.random.pick(OF_TYPE[type]))));
  }

  /** Values that go from local to local, and are rarely looked at. */
  move() {
    const { random } = this;
    const read = () => op(0x20, u32(random.pick(OF_TYPE[F64])));
    const choice = random.below(10);
    if (choice < 2) this.emit(op(0x41, s64(8 * random.below(128))), op(0x2b, 0, 0));
    else if (choice < 4) this.emit(read());
    else if (choice === 5) this.emit(read(), read(), op(0x20, 2), op(0x1b));
    else if (choice === 4) this.constant(F64);
    else this.emit(read(), read(), op(0xa0 + random.below(4)));
    this.emit(op(random.chance(0.2) ? 0x22 : 0x21, u32(random.pick(OF_TYPE[F64]))));
    if (this.out.at(-1)[0] === 0x22) this.emit(op(0x1a));
    if (random.chance(0.2)) this.emit(op(0x41, s64(2048 + 8 * random.below(4096))), read(), op(0x39, 0, 0));
  }

  store() {
    if (this.local) return this.move();
    const type = this.random.pick([F64, F32]);
    this.address();
    this.expression(type, 3);
    this.emit(op(type === F64 ? 0x39 : 0x38, 0, this.offset(type)));
    return undefined;
  }

  statements(depth, labels) {
    for (let n = 1 + this.random.below(3); n > 0; n--) this.statement(depth, labels);
  }

  nest(opening, depth, labels, middles = []) {
    this.emit(opening);
    this.statements(depth - 1, labels);
    for (const middle of middles) {
      this.emit(middle);
      this.statements(depth - 1, labels);
    }
    this.emit(END);
  }

  /** A loop that ends by its own counter; each depth has its own. */
  repeat(depth, labels) {
    const counter = COUNTERS[labels.filter((label) => label === "loop").length];
    if (counter === undefined) return this.store();
    this.emit(op(0x41, s64(this.random.below(6))), op(0x21, u32(counter)), op(0x03, EMPTY));
    this.statements(depth - 1, [...labels, "loop"]);
    this.emit(op(0x20, u32(counter)), op(0x41, s64(1)), op(0x6b), op(0x22, u32(counter)));
    this.emit(op(0x41, s64(0)), op(0x4a), op(0x0d, 0), END);
    return undefined;
  }

  /** Labels that can be branched to without going round a loop. */
  forward(labels) {
    const all = labels.flatMap((label, i) => (label === "loop" ? [] : [labels.length - 1 - i]));
    // Mostly near: far ones skip the rest of the program.
    return this.random.chance(0.8) ? all.slice(-2) : all;
  }

  branch(labels) {
    const choices = this.forward(labels);
    if (choices.length === 0) return this.store();
    this.expression(I32, 2);
    this.emit(op(0x0d, u32(this.random.pick(choices))));
    return undefined;
  }

  choose(labels) {
    const choices = this.forward(labels);
    if (choices.length === 0) return this.store();
    const some = Array.from({ length: this.random.below(4) }, () => this.random.pick(choices));
    this.expression(I32, 1);
    this.emit(op(0x04, EMPTY), op(0x20, 0));
    this.emit(op(0x0e, u32(some.length), some.map((label) => u32(label + 1)), u32(this.random.pick(choices) + 1)), END);
    return undefined;
  }

  maybeReturn() {
    if (this.random.chance(0.8)) return this.store();
    this.expression(I32, 2);
    this.emit(op(0x04, EMPTY));
    this.expression(F64, 2);
    this.emit(op(0x0f), END);
    return undefined;
  }

  /** Function 0 may call function 1, which calls none: no recursion. */
  callOther() {
    if (!this.mayCall) return this.store();
    this.expression(I32, 1);
    this.expression(F64, 2);
    this.emit(op(0x10, 1), op(0x21, u32(this.random.pick(OF_TYPE[F64]))));
    return undefined;
  }

  handle(depth, labels) {
    this.emit(op(0x06, EMPTY));
    this.statements(depth - 1, [...labels, "block"]);
    this.expression(I32, 1);
    this.emit(op(0x04, EMPTY));
    this.expression(F64, 2);
    this.emit(op(0x08, 0), END);
    this.statements(depth - 1, [...labels, "block"]);
    if (this.random.chance(0.5)) this.emit(op(0x07, 0), op(0x21, u32(this.random.pick(OF_TYPE[F64]))));
    else this.emit(op(0x19));
    this.statements(depth - 1, [...labels, "block"]);
    this.emit(END);
  }

  function(mayCall) {
    this.mayCall = mayCall;
    this.out = [];
    // The function's own block is a label too: a branch there returns, so it would need a result. Labels start inside.
    this.emit(op(0x02, EMPTY));
    for (let n = (this.local ? 8 : 3) + this.random.below(5); n > 0; n--) this.statement(4, ["block"]);
    this.emit(END);
    if (this.local) this.emit(op(0x20, 5));
    else this.expression(F64, 3);
    return this.out;
  }
}

/** Bit patterns of NaNs and others, over the first 2 KiB of memory. */
function content() {
  const words = new BigUint64Array(256);
  const kinds = [0x7ff8000000000000n, 0xfff8000000000000n, 0x7ff0000000000001n, 0xfff800000badf00dn, 0x3ff0000000000000n,
    0x7fc00001ffc00002n, 0x7f800001ff800001n, 0x0000000000000000n, 0xc000000040000000n];
  words.forEach((_, i) => (words[i] = kinds[i % kinds.length]));
  return [...new Uint8Array(words.buffer)];
}

/**
 * @param {number} seed
 * @param {object} options handlers: with try, catch and throw; blind: without instructions that look at a
 *   NaN's bits; local: mostly moves between locals; stack: with a stack pointer, and functions in a table
 * @returns {{plain: Uint8Array, counting: Uint8Array}} the program, and the same keeping account in global "weight"
 */
export function randomModule(seed, { handlers = false, blind = false, local = false, stack = false } = {}) {
  const program = new Program(seed, { handlers, blind, local });
  const functions = [program.function(true), program.function(false)];
  const module = (write, globals, exports) => assemble({
    types: [[[I32, F64], [F64]], [[F64], []]],
    functions: functions.map((pairs, i) => ({ locals: LOCALS, code: pairs.map(write), export: `f${i}` })),
    tags: [1],
    memory: 1,
    globals: [...globals, ...(stack ? STACK_GLOBALS : [])],
    exports: [...exports, ...(stack ? STACK_EXPORTS.map((name, i) => [name, "global", globals.length + i]) : [])],
    data: [[0, 0x41, 0, 0x0b, u32(2048), content()]],
  });
  const plain = ([code, bytes]) => [code, bytes];
  const counted = ([code, bytes]) => {
    const weight = weightOf[code];
    return [weight === 0 ? [] : [0x23, 0, 0x42, s64(weight), 0x7c, 0x24, 0], code, bytes];
  };
  return {
    plain: module(plain, [], []),
    counting: module(counted, [[I64, 1, [0x42, 0]]], [["weight", "global", 0]]),
  };
}
