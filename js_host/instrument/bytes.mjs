// Bytes of the WebAssembly binary format: LEB128 numbers, names and vectors, read strictly and written shortest.
//
// Source: WebAssembly core specification 2.0, 5.2 "Values". The reader never guesses: a number that is too long, has
// bits beyond its width, or ends outside its section is an error that names the offset in the module.

/** A module that the instrumenter does not take: malformed, or outside the profile. */
export class WasmError extends Error {
  name = "WasmError";

  /**
   * @param {string} problem what is wrong, lower case, no full stop
   * @param {number | null} offset byte offset in the module, null if it is about the whole module
   */
  constructor(problem, offset = null) {
    super(offset === null ? problem : `${problem} at offset 0x${offset.toString(16)}`);
    this.problem = problem;
    this.offset = offset;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });
const toUtf8 = new TextEncoder();

export class ByteReader {
  /** @param {Uint8Array} bytes the whole module; `at` and `end` bound what may be read */
  constructor(bytes, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get done() {
    return this.at === this.end;
  }

  /** A reader of the next `length` bytes, which this one skips. */
  part(length) {
    const from = this.at;
    this.skip(length);
    return new ByteReader(this.bytes, from, this.at);
  }

  u8() {
    if (this.at >= this.end) throw new WasmError("unexpected end", this.at);
    return this.bytes[this.at++];
  }

  skip(length) {
    if (length > this.end - this.at) throw new WasmError("unexpected end", this.end);
    this.at += length;
  }

  u32() {
    const first = this.u8();
    return first < 0x80 ? first : this.#rest(first & 0x7f, 32, false);
  }

  /** Signed 32-bit; only its value's low 32 bits matter to callers. */
  s32() {
    const first = this.u8();
    return first < 0x80 ? (first << 25) >> 25 : this.#rest(first & 0x7f, 32, true);
  }

  /** A block type: the empty type and value types are negative, an index into the types is not. */
  s33() {
    const first = this.u8();
    return first < 0x80 ? (first << 25) >> 25 : this.#rest(first & 0x7f, 33, true);
  }

  /** Step over a signed 64-bit number. */
  skipS64() {
    const from = this.at;
    let byte = this.u8();
    let n = 1;
    for (; byte >= 0x80; n++) {
      if (n === 10) throw new WasmError("number is too long", from);
      byte = this.u8();
    }
    if (n === 10 && byte !== 0 && byte !== 0x7f) throw new WasmError("number has bits beyond its width", from);
  }

  name() {
    const part = this.part(this.u32());
    try {
      return utf8.decode(part.bytes.subarray(part.at, part.end));
    } catch {
      throw new WasmError("name is not UTF-8", part.at);
    }
  }

  /** Further bytes of a number: arithmetic instead of shifts, since s33 leaves the 32 bits of JavaScript's. */
  #rest(value, width, signed) {
    const from = this.at - 1;
    const most = Math.ceil(width / 7);
    for (let n = 1, unit = 128; ; n++, unit *= 128) {
      if (n === most) throw new WasmError("number is too long", from);
      const byte = this.u8();
      value += (byte & 0x7f) * unit;
      if (byte >= 0x80) continue;
      if (!signed) {
        if (value >= 2 ** width) throw new WasmError("number has bits beyond its width", from);
        return value;
      }
      if (byte & 0x40) value -= unit * 128;
      if (value < -(2 ** (width - 1)) || value >= 2 ** (width - 1)) {
        throw new WasmError("number has bits beyond its width", from);
      }
      return value;
    }
  }
}

/** Grows as needed; `clear` keeps the room for the next use. */
export class ByteWriter {
  length = 0;

  constructor(room = 1 << 12) {
    this.bytes = new Uint8Array(room);
  }

  clear() {
    this.length = 0;
  }

  /** What was written, as a view. */
  view() {
    return this.bytes.subarray(0, this.length);
  }

  u8(value) {
    this.#reserve(1);
    this.bytes[this.length++] = value;
  }

  u32(value) {
    this.#reserve(5);
    for (; value >= 0x80; value >>>= 7) this.bytes[this.length++] = (value & 0x7f) | 0x80;
    this.bytes[this.length++] = value;
  }

  /** Signed LEB128 of an integer of at most 53 bits. */
  s64(value) {
    for (;;) {
      const low = ((value % 128) + 128) % 128;
      value = Math.floor(value / 128);
      if ((value === 0 && low < 0x40) || (value === -1 && low >= 0x40)) return this.u8(low);
      this.u8(low | 0x80);
    }
  }

  name(text) {
    const encoded = toUtf8.encode(text);
    this.u32(encoded.length);
    this.copy(encoded, 0, encoded.length);
  }

  all(bytes) {
    this.copy(bytes, 0, bytes.length);
  }

  copy(source, from, to) {
    const n = to - from;
    this.#reserve(n);
    if (n > 32) this.bytes.set(source.subarray(from, to), this.length);
    else for (let i = 0; i < n; i++) this.bytes[this.length + i] = source[from + i];
    this.length += n;
  }

  /** Write `content` with its length before it, as sections and function bodies are. */
  sized(content) {
    this.u32(content.length);
    this.copy(content.bytes, 0, content.length);
  }

  #reserve(n) {
    if (this.length + n <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(this.bytes.length * 2, this.length + n));
    larger.set(this.view());
    this.bytes = larger;
  }
}
