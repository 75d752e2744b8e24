// Where a function makes NaNs canonical.
//
// WebAssembly leaves the bits of a NaN open that arithmetic makes. Such a value is *loose* until it is made canonical.
// A loose value may meet instructions that only ask whether it is NaN (arithmetic and comparisons of its own shape,
// truncation): they cannot tell one NaN from another. Everything else (stores, calls, results, globals, reinterpreting,
// sign operations, block results) observes it, and then it is made canonical where it was made, or where a local that
// holds nothing but loose values is read. The walk follows operands and locals; docs/instrumentation.md has the proof
// that a program cannot tell this from making every result canonical at once.

import { FLOAT, OP, makesNan, popsOf, pushesOf, readsNanAsOne } from "./opcodes.mjs";
import { VALUE } from "./module_reader.mjs";
import { Webs } from "./webs.mjs";

/** Values whose bits are determined; of a PLAIN one, also that if it is NaN, it is the canonical one. */
const [EXACT, PLAIN] = [0, -1];

/** Shape of a value that may be loose in one of two shapes: no instruction takes it as it is. */
const MIXED = 5;

const FLOAT_OF_TYPE = { [VALUE.F32]: FLOAT.F32, [VALUE.F64]: FLOAT.F64 };

/** f32.convert and f64.convert never make a NaN. */
const isConversion = (code) => (code >= 0xb2 && code <= 0xb5) || (code >= 0xb7 && code <= 0xba);

export class NanPlan {
  /** FLOAT shape of the value on top after this instruction if it has to be made canonical, else NONE. */
  after = new Uint8Array(1 << 12);
  sites = 0;
  made = 0;

  #body = null;
  #scope = null;
  #stack = [];
  #frames = [];
  #webs = new Webs();
  #values = [];
  #tries = 0;
  #loops = 0;

  /**
   * @param {import("./function_reader.mjs").Instructions} body
   * @param {object} scope {types, functionTypes, tagTypes, params, results}
   */
  make(body, scope) {
    if (this.after.length < body.count) this.after = new Uint8Array(body.code.length);
    this.after.fill(0, 0, body.count);
    this.sites = 0;
    this.made = countMakers(body);
    if (this.made === 0) return;
    this.#body = body;
    this.#scope = scope;
    this.#stack = [];
    this.#values = [null];
    this.#tries = 0;
    this.#loops = 0;
    this.#webs.reset(body.locals.map((type) => FLOAT_OF_TYPE[type] ?? FLOAT.NONE), scope.params.length);
    this.#frames = [this.#frame(OP.BLOCK, [], scope.results)];
    for (let i = 0; i < body.count; i++) this.#step(i, body.code[i], body.argument[i]);
    this.#settle();
  }

  #step(i, code, argument) {
    switch (code) {
      case OP.BLOCK:
      case OP.LOOP:
      case OP.TRY:
        return this.#open(code, argument);
      case OP.IF:
        this.#pop();
        return this.#open(code, argument);
      case OP.ELSE:
        return this.#else();
      case OP.CATCH:
        return this.#catch(this.#scope.types[this.#scope.tagTypes[argument]].params);
      case OP.CATCH_ALL:
        return this.#catch([]);
      case OP.END:
      case OP.DELEGATE:
        return this.#end();
      case OP.BR:
        this.#branch(argument);
        return this.#leave();
      case OP.BR_IF:
        this.#pop();
        return this.#branch(argument);
      case OP.BR_TABLE:
        this.#pop();
        for (const label of this.#body.labels[argument]) this.#branch(label);
        return this.#leave();
      case OP.RETURN:
        this.#observeTop(this.#scope.results.length);
        return this.#leave();
      case OP.UNREACHABLE:
      case OP.RETHROW:
        return this.#leave();
      case OP.THROW:
        this.#observeTop(this.#scope.types[this.#scope.tagTypes[argument]].params.length);
        return this.#leave();
      case OP.CALL:
        return this.#call(this.#scope.types[this.#scope.functionTypes[argument]]);
      case OP.CALL_INDIRECT:
        this.#pop();
        return this.#call(this.#scope.types[argument]);
      case OP.DROP:
        return void this.#pop();
      case OP.SELECT:
      case OP.SELECT_TYPED:
        return this.#select();
      case OP.LOCAL_GET:
        return this.#get(i, argument);
      case OP.LOCAL_SET:
        return this.#set(argument, this.#pop());
      case OP.LOCAL_TEE:
        return this.#tee(argument);
      default:
        return this.#compute(i, code);
    }
  }

  /** An instruction that takes operands and leaves at most one result. */
  #compute(i, code) {
    const blind = readsNanAsOne[code];
    for (let n = popsOf[code]; n > 0; n--) {
      const value = this.#pop();
      if (value > 0 && this.#values[value].shape !== blind) this.#observe(value);
    }
    if (pushesOf[code] === 0) return;
    const shape = makesNan[code];
    if (shape !== FLOAT.NONE) this.#stack.push(this.#loose({ shape, at: i, web: -1, one: EXACT, other: EXACT }));
    else this.#stack.push(isConversion(code) || this.#isPlainConstant(i, code) ? PLAIN : EXACT);
  }

  #isPlainConstant(i, code) {
    if (code !== OP.F32_CONST && code !== OP.F64_CONST) return false;
    const { bytes } = this.#scope;
    const end = this.#body.at[i + 1];
    const infinite = code === OP.F32_CONST
      ? (bytes[end - 1] & 0x7f) === 0x7f && bytes[end - 2] >= 0x80
      : (bytes[end - 1] & 0x7f) === 0x7f && bytes[end - 2] >= 0xf0;
    return !infinite;
  }

  // Operands.

  #pop() {
    // In unreachable code operands appear from nowhere; nothing there is executed.
    if (this.#stack.length === this.#frames.at(-1).height) return EXACT;
    return this.#stack.pop();
  }

  #push(count) {
    for (let n = 0; n < count; n++) this.#stack.push(EXACT);
  }

  #observeTop(count) {
    const from = Math.max(this.#frames.at(-1).height, this.#stack.length - count);
    for (let n = from; n < this.#stack.length; n++) this.#observe(this.#stack[n]);
  }

  #call({ params, results }) {
    this.#observeTop(params.length);
    for (let n = 0; n < params.length; n++) this.#pop();
    this.#push(results.length);
  }

  #select() {
    this.#pop();
    const other = this.#pop();
    const one = this.#pop();
    if (one <= 0 && other <= 0) return this.#stack.push(one === PLAIN && other === PLAIN ? PLAIN : EXACT);
    const shapes = [one, other].filter((value) => value > 0).map((value) => this.#values[value].shape);
    const shape = shapes.every((each) => each === shapes[0]) ? shapes[0] : MIXED;
    return this.#stack.push(this.#loose({ shape, at: -1, web: -1, one, other }));
  }

  #get(i, local) {
    const web = this.#webs.current(local);
    if (web < 0) return this.#push(1);
    const shape = this.#webs.shape(local);
    return this.#stack.push(this.#loose({ shape, at: i, web, one: EXACT, other: EXACT }));
  }

  #set(local, value) {
    if (this.#webs.current(local) < 0) return this.#observe(value);
    return this.#webs.define(local, value, this.#loops, this.#tries > 0);
  }

  #tee(local) {
    const value = this.#pop();
    this.#set(local, value);
    this.#stack.push(value);
  }

  #loose(value) {
    value.loops = this.#loops;
    return this.#values.push(value) - 1;
  }

  // Blocks.

  #frame(code, params, results) {
    return {
      code, height: this.#stack.length, params, results, dead: this.#frames.length > 0 && this.#frames.at(-1).dead,
      start: this.#webs.save(), forward: null,
    };
  }

  #open(code, type) {
    const { params, results } = blockTypes(type, this.#scope.types);
    this.#observeTop(params.length);
    for (let n = 0; n < params.length; n++) this.#pop();
    this.#frames.push(this.#frame(code, params, results));
    this.#push(params.length);
    if (code === OP.LOOP) this.#loops += 1;
    if (code === OP.TRY) this.#tries += 1;
  }

  #else() {
    const top = this.#frames.at(-1);
    this.#finishArm(top);
    this.#webs.restore(top.start);
    this.#push(top.params.length);
    top.code = OP.ELSE;
    top.dead = this.#frames.at(-2).dead;
  }

  #catch(params) {
    const top = this.#frames.at(-1);
    this.#finishArm(top);
    if (top.code === OP.TRY) this.#tries -= 1;
    top.code = OP.CATCH;
    // Every assignment in the body was united with the locals at its start.
    this.#webs.restore(top.start);
    this.#push(params.length);
    top.dead = this.#frames.at(-2).dead;
  }

  /** Results go to the end of the block; the stack is empty again. */
  #finishArm(top) {
    this.#observeTop(top.results.length);
    if (!top.dead) top.forward = this.#webs.join(top.forward);
    this.#stack.length = top.height;
  }

  #end() {
    const top = this.#frames.at(-1);
    this.#finishArm(top);
    const outer = this.#frames.length > 1 ? this.#frames.at(-2) : top;
    if (top.code === OP.IF && !outer.dead) top.forward = this.#webs.joinSaved(top.forward, top.start);
    if (top.code === OP.LOOP) this.#loops -= 1;
    if (top.code === OP.TRY) this.#tries -= 1;
    this.#frames.pop();
    if (top.forward === null) outer.dead = true;
    else this.#webs.restore(top.forward);
    this.#push(top.results.length);
  }

  #branch(label) {
    const target = this.#frames[this.#frames.length - 1 - label];
    const isLoop = target.code === OP.LOOP;
    this.#observeTop((isLoop ? target.params : target.results).length);
    if (this.#frames.at(-1).dead) return;
    if (isLoop) this.#webs.joinSaved(this.#webs.save(), target.start);
    else target.forward = this.#webs.join(target.forward);
  }

  #leave() {
    const top = this.#frames.at(-1);
    top.dead = true;
    this.#stack.length = top.height;
  }

  // What has to be made canonical.

  #observe(value) {
    if (value <= 0) return;
    const { web, at, one, other, shape } = this.#values[value];
    if (web >= 0) this.#webs.observe(web, value);
    else if (at >= 0) this.#mark(at, shape);
    else {
      this.#observe(one);
      this.#observe(other);
    }
  }

  #mark(at, shape) {
    if (this.after[at] === FLOAT.NONE) this.sites += 1;
    this.after[at] = shape;
  }

  #settle() {
    this.#webs.settle(this.#values, (value) => this.#observe(value), (value) => {
      const { at, shape } = this.#values[value];
      this.#mark(at, shape);
    });
  }
}

/** The definition that `NanPlan` must not differ from for any program: canonical after every maker. For tests. */
export class NanEverywherePlan {
  after = new Uint8Array(0);
  sites = 0;
  made = 0;

  make(body) {
    this.after = Uint8Array.from(body.code.subarray(0, body.count), (code) => makesNan[code]);
    this.sites = this.made = countMakers(body);
  }
}

function countMakers(body) {
  let n = 0;
  for (let i = 0; i < body.count; i++) if (makesNan[body.code[i]] !== FLOAT.NONE) n += 1;
  return n;
}

const NOTHING = Object.freeze([]);

function blockTypes(type, types) {
  if (type >= 0) return types[type];
  return { params: NOTHING, results: type === -64 ? NOTHING : [type + 0x80] };
}
