// Checks 21 to 32, of published graphs, as docs/graph.md has them.

import { auditRecord, blindness, Findings, rule } from "./checks.mjs";
import { Cid, decodeCbor, Missing, sha256, tried, Wrong } from "./codecs.mjs";
import { mergeOutputs, Room } from "./merge.mjs";
import { checkSigned } from "./schema.mjs";

const MAX_ENTRIES = 250_000n;

/** Whether a root says that it is a graph, well-formed or not. */
export const isGraph = (blocks, cid) =>
  cid.codec === 0x71 && ["graph/1", "graph/2"].includes(tried(() => decodeCbor(blocks.get(cid)).get("v"), null));

/** The records that a root stands for: those of a graph, or itself. */
export const recordsOf = (blocks, cid) => tried(() => blocks.load(cid, "AnyGraph").get("records"), [cid]);

/** What one check reads and others need: what is wrong with it is said once. */
function once(read) {
  let state = null;
  return () => {
    if (state === null) {
      try {
        state = { value: read() };
      } catch (error) {
        state = { value: undefined };
        throw error;
      }
    }
    if (state.value === undefined) throw new Missing("another check is in charge");
    return state.value;
  };
}

function readChain(blocks, head) {
  const size = head.get("size"), entries = [];
  rule(size <= MAX_ENTRIES, "too many entries");
  let next = head.get("last");
  for (let number = size - 1n; number >= 0n; number--) {
    rule(next !== null, "chain ends before its first entry");
    const entry = blocks.load(next, "LogEntry");
    rule(entry.get("publisher") === head.get("publisher") && entry.get("number") === number, "another entry");
    entries.push({ cid: next, entry, leaf: sha256(Buffer.concat([Buffer.of(0), blocks.get(next)])) });
    next = entry.get("previous");
  }
  rule(next === null, "first entry has one before it");
  return entries.reverse();
}

/** RFC 9162, 2.1.1, over hashes of leaves. */
function treeHash(leaves) {
  if (leaves.length === 1) return leaves[0];
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.concat([Buffer.of(1), treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split))]));
}

/** Returns {checks: [number, state] for each, unblind: records of later rounds, head and chain as far as they are sound}. */
export function auditGraph(blocks, cid) {
  const graph = once(() => blocks.load(cid, "AnyGraph"));
  const head = once(() => blocks.load(graph().get("head"), "GraphHead"));
  const chain = once(() => readChain(blocks, head()));
  const records = () => graph().get("records");
  const read = (record) => blocks.load(record, "Ancestor");
  const readable = () => records().flatMap((record) => tried(() => [[record, read(record)]], []));
  const places = () => {
    const found = new Map();
    for (const { entry } of chain()) {
      const { id } = Cid.fromText(entry.get("record"));
      found.set(id, [...(found.get(id) ?? []), entry.get("number")]);
    }
    return found;
  };
  let unblind = 0;
  const looks = [
    () => void (graph(), head()),
    () => checkSigned(head(), head().get("publisher")),
    () => void chain(),
    () => rule(treeHash(chain().map(({ leaf }) => leaf)).toString("hex") === head().get("tree"), "another tree"),
    () => {
      const found = places();
      rule([...found.values()].every((numbers) => numbers.length === 1), "record of two entries");
      rule(records().every((record) => found.has(record.id)), "record is not in the log");
    },
    (findings) => {
      const listed = new Set(records().map((record) => record.id));
      const found = findings.look(places) ?? new Map();
      for (const record of records()) {
        findings.look(() => {
          for (const parent of blocks.need(record, "Ancestor").get("parents")) {
            rule(listed.has(parent.id), "parent is not in the graph");
            const [own] = found.get(record.id) ?? [], [before] = found.get(parent.id) ?? [];
            rule(own === undefined || before === undefined || before < own, "published before its parent");
          }
        });
      }
    },
    (findings) => {
      for (const record of records()) {
        const node = findings.look(() => read(record));
        if (node?.get("v") !== "record/1") continue;
        const found = auditRecord(blocks, record), seen = blindness(blocks, record, found);
        if (seen !== null && seen.blind < seen.agreeing) unblind++;
        for (const [, state] of found) {
          findings.isWrong ||= state === false;
          findings.isOpen ||= state === null;
        }
      }
    },
    (findings) => {
      const outputs = new Map();
      for (const [, node] of readable()) {
        if (node.get("v") !== "record/1") continue;
        const { id } = node.get("task"), output = node.get("output").id;
        findings.look(() => rule((outputs.get(id) ?? output) === output, "two outputs of one task"));
        outputs.set(id, output);
      }
      findings.isOpen ||= readable().length < records().length || (graph().get("rivals") ?? []).length > 0;
    },
    (findings) => {
      findings.isOpen ||= readable().length < records().length;
      findings.isOpen ||= readable().some(([, node]) => node.get("v") !== "record/1");
    },
  ];
  const more = [
    (findings) => {
      const room = new Room();
      for (const merge of graph().get("merges")) findings.look(() => checkMerge(blocks, merge, records(), room));
    },
    (findings) => {
      const listed = new Set(records().map((record) => record.id));
      for (const rival of graph().get("rivals")) {
        findings.look(() => {
          const node = read(rival);
          rule(!listed.has(rival.id) && node.get("v") === "record/1", "no rival of this graph");
          const isRival = readable().some(([, one]) => one.get("v") === "record/1" && contradicts(one, node));
          if (!isRival && readable().length < records().length) throw new Missing("not all records are here");
          rule(isRival, "contradicts no record");
          for (const [, state] of auditRecord(blocks, rival)) {
            findings.isWrong ||= state === false;
            findings.isOpen ||= state === null;
          }
        });
      }
    },
  ];
  const numbered = looks.map((look, n) => [21 + n, look]);
  if (tried(() => decodeCbor(blocks.get(cid)).get("v"), null) === "graph/2") numbered.push(...more.map((look, n) => [31 + n, look]));
  const checks = numbered.map(([number, look]) => {
    const findings = new Findings();
    findings.look(() => look(findings));
    return [number, findings.state];
  });
  const isTrue = (number) => checks[number - 21][1] === true;
  const isSigned = isTrue(22), isSound = isSigned && isTrue(23) && isTrue(24);
  return { checks, unblind, head: isSigned ? head() : null, chain: isSound ? chain() : null };
}

const contradicts = (one, other) =>
  one.get("task").id === other.get("task").id && one.get("output").id !== other.get("output").id;

function readPart(blocks, cid, room) {
  try {
    const shards = blocks.load(cid, "MergePart").get("shards");
    room.spend(shards.length);
    return shards;
  } catch (error) {
    if (error instanceof Wrong) room.spend(4096);
    throw error;
  }
}

function checkMerge(blocks, cid, records, room) {
  const merge = blocks.load(cid, "Merge");
  const parts = merge.get("parts").map((part) => readPart(blocks, part, room));
  rule(parts.length > 0 && parts.every((part, n) => part.length > 0 && (n === parts.length - 1 || part.length === 4096)), "not full");
  const shards = parts.flat();
  rule(shards.every((shard, n) => n === 0 || shards[n - 1].get("number") < shard.get("number")), "shards do not ascend");
  const listed = new Set(records.map((record) => record.id));
  rule(shards.every((shard) => listed.has(shard.get("record").id)), "record is not in the graph");
  const outputs = shards.map((shard) => [shard.get("number"), blocks.need(shard.get("record"), "Ancestor").get("output")]);
  rule(mergeOutputs(blocks, outputs, room).id === merge.get("output").id, "merging gives another output");
}

/** Check 30 over the audits of the graph roots of a file; [] if there are not two. */
export function compareLogs(audits) {
  if (audits.length < 2) return [];
  const findings = new Findings();
  for (const [n, one] of audits.entries()) {
    if (one.chain === null) findings.isOpen = true;
    for (const other of audits.slice(n + 1)) findings.look(() => comparePair(one, other));
  }
  return [[30, findings.state]];
}

function comparePair(one, other) {
  if (one.head === null || other.head === null || one.head.get("publisher") !== other.head.get("publisher")) return;
  const isOfOneSize = one.head.get("size") === other.head.get("size");
  const isSame = one.head.get("last").id === other.head.get("last").id && one.head.get("tree") === other.head.get("tree");
  if (isOfOneSize && !isSame) throw new Wrong("two logs of one size");
  if (one.chain === null || other.chain === null) return;
  const common = Math.min(one.chain.length, other.chain.length) - 1;
  rule(one.chain[common].cid.id === other.chain[common].cid.id, "neither log goes on from the other");
}
