// The merge of outputs, and how a directory is written, as docs/graph.md has them.

import { Cid, DAG_PB, Missing, RAW, sha256, Wrong } from "./codecs.mjs";
import { hashName } from "./hamt.mjs";

const MOST_DEEP = 128;
const MOST_BASIC = 262_144;
const MOST_SIZE = 1n << 63n;
const MOST_MERGED = 4_194_304;

/** How many shards and entries all merges of a graph may still have. */
export class Room {
  left = MOST_MERGED;

  spend(count) {
    this.left -= count;
    if (this.left < 0) throw new Missing("more shards and entries than are looked at");
  }
}

/** Returns the CID of the merge of outputs; outputs: [number, CID], ascending. */
export function mergeOutputs(blocks, outputs, room) {
  const merged = new Merged();
  for (const [, output] of outputs) {
    const found = blocks.find(output, "outputs");
    if (found === null) continue;
    if (!isDirectory(blocks, found)) throw new Wrong("outputs is no directory");
    lay(blocks, merged, found, 1, room);
  }
  const shards = outputs.map(([number, cid]) => ({ name: Buffer.from(String(number)), cid, tsize: sizeOf(blocks, cid) }));
  const entries = [
    { name: Buffer.from("outputs"), ...written(merged) },
    { name: Buffer.from("shards"), ...writeDirectory(shards) },
  ];
  return writeDirectory(entries).cid;
}

class Merged {
  /** By the bytes of names in hex: a link, a Merged, or null for a conflict. */
  entries = new Map();
}

const isDirectory = (blocks, cid) => cid.codec !== RAW && blocks.stat(cid).kind === "directory";

function lay(blocks, merged, directory, depth, room) {
  if (depth > MOST_DEEP) throw new Wrong("merged directories are too deep");
  const links = blocks.entries(directory);
  room.spend(links.length);
  for (const link of links) {
    const key = link.name.toString("hex"), there = merged.entries.get(key);
    merged.entries.set(key, there === undefined ? link : joined(blocks, there, link, depth, room));
  }
}

function joined(blocks, there, link, depth, room) {
  if (there === null) return null;
  if (there instanceof Merged) {
    if (!isDirectory(blocks, link.cid)) return null;
    lay(blocks, there, link.cid, depth + 1, room);
    return there;
  }
  if (there.cid.id === link.cid.id) return there;
  if (!isDirectory(blocks, there.cid) || !isDirectory(blocks, link.cid)) return null;
  const both = new Merged();
  for (const one of [there, link]) lay(blocks, both, one.cid, depth + 1, room);
  return both;
}

function written(merged) {
  const entries = [];
  for (const [key, there] of merged.entries) {
    const name = Buffer.from(key, "hex");
    if (there instanceof Merged) entries.push({ name, ...written(there) });
    else if (there !== null) entries.push({ name, cid: there.cid, tsize: there.tsize });
  }
  return writeDirectory(entries);
}

/** The size that a link to an output has: its root block, and what that claims of those below. */
function sizeOf(blocks, cid) {
  const sizes = cid.codec === RAW ? [] : blocks.node(cid).links.map((link) => link.tsize);
  return checkedSize(blocks.get(cid).length, sizes);
}

function checkedSize(length, sizes) {
  const sum = sizes.reduce((one, other) => one + other, BigInt(length));
  if (sum >= MOST_SIZE) throw new Wrong("claims more bytes than there can be");
  return sum;
}

/** Returns the CID and the size of a directory of entries {name, cid, tsize}. */
export function writeDirectory(entries) {
  const basic = encodeNode(entries, Buffer.from("0801", "hex"));
  if (basic.length <= MOST_BASIC) return finished(basic, entries);
  return writeShard(entries.map((entry) => ({ hash: hashName(entry.name), entry })), 0);
}

function writeShard(items, depth) {
  if (depth > 7) throw new Wrong("names collide");
  const slots = Map.groupBy(items, ({ hash }) => Number((hash >> BigInt(56 - 8 * depth)) & 255n));
  const links = [...slots].map(([index, slot]) => {
    const prefix = Buffer.from(index.toString(16).toUpperCase().padStart(2, "0"));
    if (slot.length > 1) return { name: prefix, ...writeShard(slot, depth + 1) };
    const [{ entry }] = slot;
    return { ...entry, name: Buffer.concat([prefix, entry.name]) };
  });
  const bits = [...slots.keys()].reduce((sum, index) => sum | (1n << BigInt(index)), 0n).toString(16);
  const field = Buffer.from(bits.padStart(bits.length + (bits.length % 2), "0"), "hex");
  const data = Buffer.concat([Buffer.from("0805", "hex"), prefixed(2, field), Buffer.from("2822308002", "hex")]);
  return finished(encodeNode(links, data), links);
}

function finished(block, links) {
  const bytes = Buffer.concat([Buffer.of(1, DAG_PB, 0x12, 32), sha256(block)]);
  return { cid: Cid.whole(bytes), tsize: checkedSize(block.length, links.map((link) => link.tsize)) };
}

function encodeNode(entries, data) {
  const links = entries.toSorted((one, other) => Buffer.compare(one.name, other.name));
  const sections = links.map(({ name, cid, tsize }) =>
    prefixed(2, Buffer.concat([prefixed(1, cid.bytes), prefixed(2, name), Buffer.of(3 << 3), varint(tsize)])),
  );
  return Buffer.concat([...sections, prefixed(1, data)]);
}

const prefixed = (field, bytes) => Buffer.concat([Buffer.of((field << 3) | 2), varint(BigInt(bytes.length)), bytes]);

function varint(value) {
  const out = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 128n) return Buffer.of(...out, Number(rest));
    out.push(Number(rest & 127n) | 128);
  }
}
