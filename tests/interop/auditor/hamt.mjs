// Sharded directories as docs/audit.md has them: a trie over the hashes of names.

import { Wrong } from "./codecs.mjs";

const MASK = (1n << 64n) - 1n;
const MURMUR3_X64_64 = 0x22n;
const HASH_BITS = 64;

const times = (one, other) => (one * other) & MASK;
const plus = (one, other) => (one + other) & MASK;
const turned = (value, by) => ((value << by) | (value >> (64n - by))) & MASK;
const finished = (value) => {
  let mixed = times(value ^ (value >> 33n), 0xff51afd7ed558ccdn);
  mixed = times(mixed ^ (mixed >> 33n), 0xc4ceb9fe1a85ec53n);
  return mixed ^ (mixed >> 33n);
};

/** The first half of murmur3-x64-128 with the seed 0, as a number. */
export function hashName(name) {
  const C1 = 0x87c37b91114253d5n, C2 = 0x4cf5ad432745937fn;
  const first = (key) => times(turned(times(key, C1), 31n), C2);
  const second = (key) => times(turned(times(key, C2), 33n), C1);
  let one = 0n, two = 0n, at = 0;
  for (; at + 16 <= name.length; at += 16) {
    one = plus(times(plus(turned(one ^ first(name.readBigUInt64LE(at)), 27n), two), 5n), 0x52dce729n);
    two = plus(times(plus(turned(two ^ second(name.readBigUInt64LE(at + 8)), 31n), one), 5n), 0x38495ab5n);
  }
  const tail = Buffer.alloc(16);
  name.copy(tail, 0, at);
  two ^= second(tail.readBigUInt64LE(8));
  one ^= first(tail.readBigUInt64LE(0));
  const length = BigInt(name.length);
  one = plus(one ^ length, two ^ length);
  two = plus(two ^ length, one);
  return plus(finished(one), finished(two));
}

/** Yields {index, cid, name, tsize} for the used slots of one shard; no name: a shard below. */
function slotsOf({ links, message }, fanout) {
  const width = (fanout - 1).toString(16).length;
  const slots = links.map(({ cid, name, tsize }) => {
    const prefix = name.subarray(0, width).toString("latin1"), index = Number.parseInt(prefix, 16);
    const isPrefix = index < fanout && prefix === index.toString(16).toUpperCase().padStart(width, "0");
    if (!isPrefix) throw new Wrong("shard has a bad prefix");
    return { index, cid, name: name.subarray(width), tsize };
  });
  const bits = slots.reduce((sum, { index }) => sum | (1n << BigInt(index)), 0n);
  const claimed = message.data === null ? "" : message.data.toString("hex");
  const isWhole = new Set(slots.map(({ index }) => index)).size === slots.length && bits === BigInt(`0x0${claimed}`);
  if (!isWhole) throw new Wrong("slots do not match the bit field");
  return slots;
}

function shardOf(node, fanout) {
  if (node.message.type !== 5n || node.message.hash !== MURMUR3_X64_64) throw new Wrong("no shard of murmur3");
  const own = node.message.fanout ?? 0n;
  if (own < 8n || own > 1024n || (own & (own - 1n)) !== 0n) throw new Wrong("bad fanout");
  if (fanout !== null && Number(own) !== fanout) throw new Wrong("another fanout than the root's");
  return Number(own);
}

const bitsOf = (fanout) => Math.log2(fanout);

function slotFor(hash, depth, fanout) {
  const shift = HASH_BITS - bitsOf(fanout) * (depth + 1);
  if (shift < 0) throw new Wrong("too deep");
  return Number((hash >> BigInt(shift)) & BigInt(fanout - 1));
}

/** Returns the entries of a sharded directory as links; load returns a node of a CID. */
export function listEntries(load, root) {
  const found = [];
  const visit = (cid, place, fanout) => {
    const node = load(cid), own = shardOf(node, fanout);
    if (place.length > 0 && node.links.length === 0) throw new Wrong("empty shard below the root");
    const below = [];
    for (const slot of slotsOf(node, own)) {
      const there = [...place, slot.index];
      if (slot.name.length === 0) {
        if ((there.length + 1) * bitsOf(own) > HASH_BITS) throw new Wrong("too deep");
        below.push([slot.cid, there]);
      } else {
        const hash = hashName(slot.name);
        if (there.some((index, depth) => slotFor(hash, depth, own) !== index)) throw new Wrong("name in the wrong slot");
        found.push(slot);
      }
    }
    for (const [next, there] of below) visit(next, there, own);
  };
  visit(root, [], null);
  return found;
}

/** Returns the entry of a name, or undefined; reads the shards along its hash alone. */
export function findEntry(load, root, name) {
  const hash = hashName(name);
  let fanout = null;
  for (let cid = root, depth = 0; ; depth++) {
    const node = load(cid);
    fanout = shardOf(node, fanout);
    const slots = slotsOf(node, fanout), index = slotFor(hash, depth, fanout);
    const slot = slots.find((one) => one.index === index);
    if (slot === undefined) return undefined;
    if (slot.name.length > 0) return slot.name.equals(name) ? slot : undefined;
    cid = slot.cid;
  }
}
