// Decodes a function body into arrays, one entry per instruction. The arrays are used again for the next function.
//
// Source: WebAssembly core specification 2.0, 5.4 "Instructions"; legacy exception handling. Checks what the rewriting
// rests on (every opcode known, blocks nest, labels, locals and functions exist); types are left to the engine, which
// validates what comes out.

import { ByteReader, WasmError } from "./bytes.mjs";
import { IMMEDIATE, OP, immediateOf } from "./opcodes.mjs";
import { VALUE, valueType, vector } from "./module_reader.mjs";

const { ABSENT, NONE, BLOCK, LABEL, LABELS, INDEX, INDEX_PAIR, MEMARG, MEMARG_LANE, LANE, BYTES_16, S32, S64, BYTES_4,
  BYTES_8, REFERENCE_TYPE, VALUE_TYPES, ZERO_BYTE, INDEX_ZERO, ZERO_PAIR } = IMMEDIATE;

/** Most locals of a function, as engines have it. */
const MOST_LOCALS = 50_000;

/** The names of what is refused, for people. */
const REFUSED = {
  0x0a: "exception handling with exnref", 0x12: "tail calls", 0x13: "tail calls", 0x14: "function references",
  0x15: "function references", 0x1f: "exception handling with exnref", 0x40: "memory.grow", 0xd3: "GC",
  0xd4: "function references", 0xd5: "function references", 0xd6: "function references", 0xfb: "GC", 0xfe: "threads",
};

export class Instructions {
  count = 0;
  /** Code as in `opcodes.mjs`. */
  code = new Uint16Array(1 << 12);
  /** Offset of the instruction; `at[count]` is the end of the body. */
  at = new Uint32Array(1 << 12);
  /** First immediate: label, index, or block type (negative unless a type index); for `end`, what opened the block. */
  argument = new Int32Array(1 << 12);
  /** For br_table: all labels, the default last; `argument` is the index into this list. */
  labels = [];

  /** @type {number[]} value types of parameters and locals, in order */
  locals = [];
  /** Where the declarations of locals stand: {from, to, groups}. */
  declarations = null;

  /** Decode the body between two offsets. `scope`: {types, functionTypes, tagTypes, globals, params}. */
  read(bytes, { from, to }, scope) {
    const reader = new ByteReader(bytes, from, to);
    this.count = 0;
    this.labels = [];
    this.#readLocals(reader, scope.params);
    const open = [OP.BLOCK];
    while (open.length > 0) {
      if (this.count + 1 >= this.code.length) this.#grow();
      const code = this.#readOne(reader, scope);
      this.#nest(code, open);
      this.#checkLabel(code, open.length);
    }
    if (!reader.done) throw new WasmError("function goes on after its end", reader.at);
    this.at[this.count] = reader.at;
  }

  #readLocals(reader, params) {
    this.locals = [...params];
    const start = reader.at;
    let groups = 0;
    let from = start;
    vector(reader, () => {
      if (groups++ === 0) from = reader.at;
      const at = reader.at;
      const n = reader.u32();
      if (this.locals.length + n > MOST_LOCALS) throw new WasmError("more locals than any engine takes", at);
      const type = valueType(reader);
      for (let i = 0; i < n; i++) this.locals.push(type);
    });
    this.declarations = { from: groups === 0 ? reader.at : from, to: reader.at, groups };
  }

  #readOne(reader, scope) {
    const at = reader.at;
    const code = readCode(reader);
    const i = this.count++;
    this.code[i] = code;
    this.at[i] = at;
    this.argument[i] = this.#readImmediate(reader, code, scope);
    return code;
  }

  /** Return the first immediate, or 0. */
  #readImmediate(reader, code, scope) {
    switch (immediateOf[code]) {
      case NONE:
        return 0;
      case BLOCK:
        return blockType(reader, scope.types);
      case LABEL:
        return reader.u32();
      case LABELS: {
        const list = [];
        vector(reader, () => list.push(reader.u32()));
        list.push(reader.u32());
        return this.labels.push(list) - 1;
      }
      case INDEX:
        return checkedIndex(reader, code, scope, this.locals.length);
      case INDEX_PAIR: {
        const first = reader.u32();
        reader.u32();
        if (code === OP.CALL_INDIRECT && first >= scope.types.length) throw new WasmError("type is unknown", reader.at);
        return first;
      }
      case MEMARG:
        return memarg(reader);
      case MEMARG_LANE:
        memarg(reader);
        return reader.u8();
      case LANE:
        return reader.u8();
      case BYTES_16:
        reader.skip(16);
        return 0;
      case S32:
        return reader.s32();
      case S64:
        reader.skipS64();
        return 0;
      case BYTES_4:
        reader.skip(4);
        return 0;
      case BYTES_8:
        reader.skip(8);
        return 0;
      case REFERENCE_TYPE:
        return valueType(reader);
      case VALUE_TYPES:
        vector(reader, () => valueType(reader));
        return 0;
      case ZERO_BYTE:
        return zero(reader);
      case INDEX_ZERO:
        reader.u32();
        return zero(reader);
      case ZERO_PAIR:
        zero(reader);
        return zero(reader);
      default:
        throw new WasmError("opcode has no table entry", reader.at);
    }
  }

  /** Keep `open`, the instructions that opened the blocks around this point; `end` gets its block's as argument. */
  #nest(code, open) {
    const i = this.count - 1;
    const inner = open.at(-1);
    const expect = (...openers) => {
      if (!openers.includes(inner)) throw new WasmError("blocks do not nest", this.at[i]);
    };
    if (immediateOf[code] === BLOCK) open.push(code);
    else if (code === OP.END) this.argument[i] = open.pop();
    else if (code === OP.ELSE) {
      expect(OP.IF);
      open[open.length - 1] = OP.ELSE;
    } else if (code === OP.CATCH || code === OP.CATCH_ALL) {
      expect(OP.TRY, OP.CATCH);
      open[open.length - 1] = code;
    } else if (code === OP.DELEGATE) {
      expect(OP.TRY);
      open.pop();
    }
  }

  #checkLabel(code, depth) {
    const i = this.count - 1;
    const offset = this.at[i];
    // Labels of delegate are counted from outside its own try, which `depth` has already left.
    const known = (label) => label < depth;
    if (immediateOf[code] === LABEL && !known(this.argument[i])) throw new WasmError("label is unknown", offset);
    if (immediateOf[code] === LABELS && !this.labels[this.argument[i]].every(known)) {
      throw new WasmError("label is unknown", offset);
    }
  }

  #grow() {
    const larger = (array) => {
      const next = new array.constructor(array.length * 2);
      next.set(array);
      return next;
    };
    this.code = larger(this.code);
    this.at = larger(this.at);
    this.argument = larger(this.argument);
  }
}

function readCode(reader) {
  const at = reader.at;
  const first = reader.u8();
  if (first !== 0xfc && first !== 0xfd) {
    if (first < 0xfb && immediateOf[first] !== ABSENT) return first;
    const name = REFUSED[first];
    throw new WasmError(name ? `${name} is not in the profile, opcode 0x${first.toString(16)}` : `unknown opcode 0x${first.toString(16)}`, at);
  }
  const second = reader.u32();
  const code = second < 0x100 ? (first === 0xfc ? 0x100 : 0x200) + second : 0;
  if (first === 0xfd && second >= 0x100) throw new WasmError(`relaxed SIMD is not in the profile, opcode 0xfd ${second}`, at);
  if (second >= 0x100 || immediateOf[code] === ABSENT) {
    throw new WasmError(`unknown opcode 0x${first.toString(16)} ${second}`, at);
  }
  return code;
}

/** Negative for the empty type and value types, else an index into the types. */
function blockType(reader, types) {
  const at = reader.at;
  const type = reader.s33();
  if (type >= 0 ? type < types.length : type === -64 || BLOCK_VALUES.has(type)) return type;
  throw new WasmError("block type is unknown or not in the profile", at);
}

const BLOCK_VALUES = new Set([...Object.values(VALUE), 0x70, 0x6f].map((type) => type - 0x80));

function checkedIndex(reader, code, scope, locals) {
  const at = reader.at;
  const i = reader.u32();
  const most =
    code === OP.CALL || code === OP.REF_FUNC ? scope.functionTypes.length
      : code >= OP.LOCAL_GET && code <= OP.LOCAL_TEE ? locals
        : code === OP.GLOBAL_GET || code === OP.GLOBAL_SET ? scope.globals
          : code === OP.CATCH || code === OP.THROW ? scope.tagTypes.length
            : Infinity;
  if (i >= most) throw new WasmError(`index ${i} is out of range`, at);
  return i;
}

function memarg(reader) {
  const at = reader.at;
  // Alignment is at most 2**4; bit 6 would name a memory.
  if (reader.u32() > 4) throw new WasmError("alignment is impossible or names another memory", at);
  reader.u32();
  return 0;
}

function zero(reader) {
  if (reader.u8() !== 0) throw new WasmError("another memory than 0", reader.at - 1);
  return 0;
}
