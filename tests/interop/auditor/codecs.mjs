// CIDs, CAR, DAG-CBOR and DAG-PB as docs/audit.md has them, written from that page alone, with Node's own modules.

import { createHash } from "node:crypto";

/** It is there and wrong. */
export class Wrong extends Error {}
/** It is not there, or was not looked at. */
export class Missing extends Error {}

export const RAW = 0x55, DAG_PB = 0x70, DAG_CBOR = 0x71;
const SHA2_256 = 0x12, IDENTITY = 0x00;
const MIB = 1 << 20;
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
export const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const sha256 = (data) => createHash("sha256").update(data).digest();

function text(bytes) {
  try {
    return UTF8.decode(bytes);
  } catch {
    throw new Wrong("not UTF-8");
  }
}

/** Reads bytes from the front; running out is wrong. */
export class Reader {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  get done() {
    return this.at >= this.data.length;
  }

  byte() {
    return this.take(1)[0];
  }

  take(size) {
    if (size > this.data.length - this.at) throw new Wrong("truncated");
    this.at += size;
    return this.data.subarray(this.at - size, this.at);
  }

  varint() {
    let value = 0n;
    for (let n = 0n; n < 9n; n++) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << (7n * n);
      if (byte < 0x80) {
        if (byte === 0 && n > 0n) throw new Wrong("varint is not the shortest");
        return value;
      }
    }
    throw new Wrong("varint is too long");
  }
}

/** A link. Two are one link if their bytes are; two are one block if their keys are. */
export class Cid {
  constructor(bytes, codec, hash, digest) {
    Object.assign(this, { bytes, codec, hash, digest });
    this.id = bytes.toString("hex");
    this.key = `${codec}/${hash}/${digest.toString("hex")}`;
  }

  static read(reader) {
    const start = reader.at;
    let codec = DAG_PB, hash = SHA2_256, length = 32;
    if (reader.data[start] === 0x12 && reader.data[start + 1] === 0x20) {
      reader.take(2);
    } else {
      if (reader.varint() !== 1n) throw new Wrong("CID of another version");
      codec = Number(reader.varint());
      hash = Number(reader.varint());
      length = Number(reader.varint());
      if (length > 128) throw new Wrong("digest is too long");
    }
    const digest = reader.take(length);
    return new Cid(Buffer.from(reader.data.subarray(start, reader.at)), codec, hash, Buffer.from(digest));
  }

  static whole(bytes) {
    const reader = new Reader(bytes);
    const cid = Cid.read(reader);
    if (!reader.done) throw new Wrong("bytes follow the CID");
    return cid;
  }

  check(data) {
    if (this.hash === SHA2_256 ? !sha256(data).equals(this.digest) : this.hash !== IDENTITY || !this.digest.equals(data)) {
      throw new Wrong("block does not match its CID, or by a hash function that is not allowed");
    }
  }

  /** Reads the text that `toString` writes; what says the same in another form is given back, and is not equal to it. */
  static fromText(written) {
    const [alphabet, body, bits] = written.startsWith("b") ? [BASE32, written.slice(1), 5n] : [BASE58, written, null];
    const digits = Array.from(body, (one) => BigInt(alphabet.indexOf(one)));
    if (digits.some((digit) => digit < 0n)) throw new Wrong("not a CID");
    const value = digits.reduce((sum, digit) => sum * BigInt(alphabet.length) + digit, 0n);
    const size = bits === null ? 34 : Math.floor((body.length * 5) / 8);
    const spare = bits === null ? 0n : BigInt(body.length * 5 - size * 8);
    const hex = (value >> spare).toString(16).padStart(2 * size, "0");
    if (hex.length > 2 * size) throw new Wrong("not a CID");
    return Cid.whole(Buffer.from(hex, "hex"));
  }

  /** The text of version 1: base32; of version 0: base58. */
  toString() {
    if (this.bytes[0] === 0x12) {
      let value = BigInt(`0x${this.id}`), out = "";
      for (; value > 0n; value /= 58n) out = BASE58[Number(value % 58n)] + out;
      return out;
    }
    let bits = 0, value = 0, out = "b";
    for (const byte of this.bytes) {
      value = (value << 8) | byte;
      for (bits += 8; bits >= 5; bits -= 5) out += BASE32[(value >> (bits - 5)) & 31];
      value &= (1 << bits) - 1;
    }
    return bits ? out + BASE32[(value << (5 - bits)) & 31] : out;
  }
}

// DAG-CBOR: integers are BigInt, floats are numbers, maps are Map, links are Cid -----------------------------------------

export function decodeCbor(data) {
  if (data.length > 2 * MIB) throw new Wrong("node is larger than 2 MiB");
  const reader = new Reader(data);
  const value = decodeItem(reader, 0);
  if (!reader.done) throw new Wrong("bytes follow the node");
  return value;
}

function decodeItem(reader, depth) {
  const first = reader.byte(), major = first >> 5, minor = first & 31;
  if (major === 7) return decodeSimple(reader, minor);
  const count = decodeCount(reader, minor);
  switch (major) {
    case 0: return count;
    case 1: return -1n - count;
    case 3: return text(reader.take(Number(count)));
    case 4: return decodeList(reader, count, depth);
    case 5: return decodeMap(reader, count, depth);
    case 6: return decodeLink(reader, count);
    default: throw new Wrong("byte string outside of a link");
  }
}

function decodeSimple(reader, minor) {
  if (minor === 20 || minor === 21) return minor === 21;
  if (minor === 22) return null;
  if (minor !== 27) throw new Wrong("simple value or float of another size");
  const value = reader.take(8).readDoubleBE();
  if (!Number.isFinite(value)) throw new Wrong("NaN or infinity");
  return value;
}

function decodeCount(reader, minor) {
  if (minor < 24) return BigInt(minor);
  if (minor > 27) throw new Wrong("indefinite or reserved length");
  const size = 1 << (minor - 24);
  const value = BigInt(`0x${reader.take(size).toString("hex")}`);
  if (value < [24n, 1n << 8n, 1n << 16n, 1n << 32n][minor - 24]) throw new Wrong("number is not the shortest");
  return value;
}

function inside(count, depth, reader) {
  if (count > BigInt(reader.data.length)) throw new Wrong("truncated");
  if (count > 0n && depth >= 128) throw new Wrong("nested too deep");
  return Number(count);
}

function decodeList(reader, count, depth) {
  return Array.from({ length: inside(count, depth, reader) }, () => decodeItem(reader, depth + 1));
}

function decodeMap(reader, count, depth) {
  const map = new Map();
  let before = null;
  for (let n = inside(count, depth, reader); n > 0; n--) {
    const key = decodeItem(reader, depth + 1);
    if (typeof key !== "string") throw new Wrong("key is no text");
    const bytes = Buffer.from(key);
    if (before !== null && compareKeys(before, bytes) >= 0) throw new Wrong("keys are not sorted");
    before = bytes;
    map.set(key, decodeItem(reader, depth + 1));
  }
  return map;
}

const compareKeys = (one, other) => one.length - other.length || Buffer.compare(one, other);

function decodeLink(reader, tag) {
  if (tag !== 42n || reader.byte() >> 5 !== 2) throw new Wrong("another tag than a link's");
  reader.at--;
  const bytes = reader.take(Number(decodeCount(reader, reader.byte() & 31)));
  if (bytes[0] !== 0) throw new Wrong("link does not begin with a zero byte");
  return Cid.whole(Buffer.from(bytes.subarray(1)));
}

export function encodeCbor(value) {
  if (value === null) return Buffer.of(0xf6);
  if (typeof value === "boolean") return Buffer.of(value ? 0xf5 : 0xf4);
  if (typeof value === "bigint") return value < 0n ? head(1, -1n - value) : head(0, value);
  if (typeof value === "string") return prefixed(3, Buffer.from(value));
  if (value instanceof Cid) {
    return Buffer.concat([Buffer.of(0xd8, 42), prefixed(2, Buffer.concat([Buffer.of(0), value.bytes]))]);
  }
  if (typeof value === "number") {
    const float = Buffer.alloc(9, 0xfb);
    float.writeDoubleBE(value, 1);
    return float;
  }
  if (Array.isArray(value)) return Buffer.concat([head(4, BigInt(value.length)), ...value.map(encodeCbor)]);
  const entries = [...value].map(([key, item]) => [Buffer.from(key), item]).sort((a, b) => compareKeys(a[0], b[0]));
  return Buffer.concat([head(5, BigInt(entries.length)), ...entries.flatMap(([key, item]) => [prefixed(3, key), encodeCbor(item)])]);
}

const prefixed = (major, bytes) => Buffer.concat([head(major, BigInt(bytes.length)), bytes]);

function head(major, value) {
  if (value < 24n) return Buffer.of((major << 5) | Number(value));
  const power = [1, 2, 4, 8].find((size) => value < 1n << BigInt(8 * size));
  const out = Buffer.alloc(1 + power, 0);
  out[0] = (major << 5) | (24 + Math.log2(power));
  out.write(value.toString(16).padStart(2 * power, "0"), 1, "hex");
  return out;
}

// DAG-PB and the message of UnixFS ---------------------------------------------------------------------------------------

/** Yields [number, wire type, value] of a protobuf message. */
function* fields(data) {
  const reader = new Reader(data);
  while (!reader.done) {
    const tag = reader.varint(), wire = Number(tag & 7n);
    if (![0, 1, 2, 5].includes(wire)) throw new Wrong("unknown wire type");
    const value = wire === 0 ? reader.varint() : reader.take(wire === 2 ? Number(reader.varint()) : wire === 1 ? 8 : 4);
    yield [Number(tag >> 3n), wire, value];
  }
}

export function decodePb(data) {
  if (data.length > 2 * MIB) throw new Wrong("node is larger than 2 MiB");
  const node = { links: [], data: null };
  let ended = false;
  for (const [number, wire, value] of fields(data)) {
    if (number === 2 && wire === 2 && !ended) node.links.push(decodePbLink(value));
    else if (number === 1 && wire === 2 && node.data === null) {
      node.data = value;
      ended = node.links.length > 0;
    } else throw new Wrong("field is unknown, repeated or out of order");
  }
  return node;
}

function decodePbLink(data) {
  const link = { cid: null, name: Buffer.alloc(0), tsize: 0n };
  let before = 0;
  for (const [number, wire, value] of fields(data)) {
    if (number <= before || wire !== { 1: 2, 2: 2, 3: 0 }[number]) throw new Wrong("field of a link");
    before = number;
    if (number === 1) link.cid = Cid.whole(Buffer.from(value));
    else if (number === 2) link.name = Buffer.from(value);
    else link.tsize = value;
  }
  if (link.cid === null) throw new Wrong("link without a CID");
  return link;
}

export function decodeUnixfs(data) {
  const message = { sizes: [], data: null };
  const names = { 1: "type", 3: "size", 5: "hash", 6: "fanout", 7: "mode" };
  for (const [number, wire, value] of fields(data)) {
    if (number === 4) {
      if (wire !== 0 && wire !== 2) throw new Wrong("sizes of the wrong kind");
      const packed = wire === 2 ? new Reader(value) : null;
      if (packed === null) message.sizes.push(value);
      else while (!packed.done) message.sizes.push(packed.varint());
    } else if (number === 2) {
      if (wire === 0 || message.data !== null) throw new Wrong("data of the wrong kind or repeated");
      message.data = value;
    } else if (number in names) {
      if (wire !== 0 || names[number] in message) throw new Wrong("field of the wrong kind or repeated");
      message[names[number]] = value;
    }
  }
  if (message.type === undefined || message.type > 5n) throw new Wrong("no known type");
  return message;
}

/** Returns the links of a block, in their order. */
export function linksOf(cid, data) {
  if (cid.codec === RAW) return [];
  if (cid.codec === DAG_PB) return decodePb(data).links.map((link) => link.cid);
  if (cid.codec !== DAG_CBOR) throw new Wrong("codec is not known");
  const found = [], todo = [decodeCbor(data)];
  while (todo.length) {
    const item = todo.pop();
    if (item instanceof Cid) found.push(item);
    else if (Array.isArray(item)) todo.push(...item);
    else if (item instanceof Map) todo.push(...item.values());
  }
  return found;
}

// CAR ----------------------------------------------------------------------------------------------------------------------

/** Reads a file to its end, or to where it is wrong: {roots, blocks by key, problem of check 0 or null}. */
export function readCar(data) {
  const car = { roots: [], blocks: new Map(), problem: null };
  try {
    readAll(car, new Reader(data));
    checkLeads(car);
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    car.problem = error.message;
  }
  return car;
}

function readAll(car, reader) {
  const header = decodeCbor(section(reader, MIB));
  const isHeader = header instanceof Map && header.size === 2 && header.get("version") === 1n;
  if (!isHeader || !Array.isArray(header.get("roots")) || !header.get("roots").every((root) => root instanceof Cid)) {
    throw new Wrong("not the header of a CAR of version 1");
  }
  car.roots = header.get("roots");
  while (!reader.done) {
    const inner = new Reader(section(reader, 8 * MIB));
    const cid = Cid.read(inner);
    const block = inner.take(inner.data.length - inner.at);
    cid.check(block);
    if (car.blocks.has(cid.key)) throw new Wrong("block is there twice");
    car.blocks.set(cid.key, { cid, data: block });
  }
}

function section(reader, most) {
  const size = reader.varint();
  if (size < 1n || size > BigInt(most)) throw new Wrong("section has a bad length");
  return reader.take(Number(size));
}

function checkLeads(car) {
  const led = new Set(car.roots.map((root) => root.key));
  for (const { cid, data } of car.blocks.values()) {
    for (const link of tried(() => linksOf(cid, data), [])) if (link.key !== cid.key) led.add(link.key);
  }
  if (car.roots.length === 0) throw new Wrong("no root");
  if (new Set(car.roots.map((root) => root.id)).size < car.roots.length) throw new Wrong("root is named twice");
  for (const key of car.blocks.keys()) if (!led.has(key)) throw new Wrong("nothing leads to a block");
}

export function tried(look, otherwise) {
  try {
    return look();
  } catch (error) {
    if (error instanceof Wrong || error instanceof Missing) return otherwise;
    throw error;
  }
}
