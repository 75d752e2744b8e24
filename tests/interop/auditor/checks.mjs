// The checks of docs/audit.md, by their numbers.

import { decodeCbor, decodePb, decodeUnixfs, DAG_CBOR, DAG_PB, encodeCbor, linksOf, Missing, RAW, sha256, tried,
  Wrong } from "./codecs.mjs";
import { findEntry, listEntries } from "./hamt.mjs";
import { checkSigned, TYPES } from "./schema.mjs";

const DEPTH = 128;

/** Collects what one check finds: true, false, or null for unknown. */
export class Findings {
  isWrong = false;
  isOpen = false;

  look(what) {
    try {
      return what();
    } catch (error) {
      if (error instanceof Wrong) this.isWrong = true;
      else if (error instanceof Missing) this.isOpen = true;
      else throw error;
    }
  }

  get state() {
    return this.isWrong ? false : this.isOpen ? null : true;
  }
}

/** The blocks of a file, and what can be read out of them. */
export class Blocks {
  constructor(blocks) {
    this.blocks = blocks;
  }

  get(cid) {
    if (cid.hash === 0) return cid.digest;
    if (cid.hash !== 0x12 || cid.digest.length !== 32) throw new Wrong("another hash function");
    const found = this.blocks.get(cid.key);
    if (found === undefined) throw new Missing(`not here: ${cid}`);
    return found.data;
  }

  load(cid, type) {
    if (cid.codec !== DAG_CBOR) throw new Wrong(`${cid} is no ${type}`);
    const node = decodeCbor(this.get(cid));
    TYPES[type](node);
    return node;
  }

  /** A node that another check is in charge of. */
  need(cid, type) {
    try {
      return this.load(cid, type);
    } catch (error) {
      throw error instanceof Wrong ? new Missing(`needs a sound ${type}`) : error;
    }
  }

  node(cid) {
    if (cid.codec !== DAG_PB) throw new Wrong("not UnixFS");
    const { links, data } = decodePb(this.get(cid));
    if (data === null) throw new Wrong("no UnixFS data");
    const message = decodeUnixfs(data);
    if (message.type === 0n || message.type === 2n) {
      if (message.sizes.length !== links.length || message.sizes.includes(0n)) throw new Wrong("sizes do not fit the links");
      const size = message.sizes.reduce((sum, one) => sum + one, BigInt(message.data?.length ?? 0));
      if (message.size !== undefined && message.size !== size) throw new Wrong("size is not the sum of the parts");
      if (size >= 1n << 63n) throw new Wrong("file is too large");
      return { kind: "file", size, links, message };
    }
    if (message.type === 3n) throw new Wrong("metadata is no content");
    return { kind: message.type === 4n ? "symlink" : "directory", isSharded: message.type === 5n, size: 0n, links, message };
  }

  stat(cid) {
    return cid.codec === RAW ? { kind: "file", size: BigInt(this.get(cid).length) } : this.node(cid);
  }

  directory(cid) {
    const node = this.stat(cid);
    if (node.kind !== "directory") throw new Wrong("not a directory");
    return node;
  }

  entries(cid) {
    const node = this.directory(cid);
    const links = node.isSharded ? listEntries((below) => this.node(below), cid) : node.links;
    const names = new Set();
    for (const { name } of links) {
      const text = name.toString("utf8");
      const isSafe = Buffer.from(text).equals(name) && !["", ".", ".."].includes(text) && !/[/\0]/.test(text);
      if (!isSafe || names.has(text)) throw new Wrong("bad or repeated name");
      names.add(text);
    }
    return links.toSorted((one, other) => Buffer.compare(one.name, other.name));
  }

  /** The CID of an entry; null if there is none of this name. */
  find(cid, name) {
    const isSharded = this.directory(cid).isSharded;
    const found = isSharded
      ? findEntry((below) => this.node(below), cid, Buffer.from(name))
      : this.entries(cid).find((link) => link.name.toString() === name);
    return found?.cid ?? null;
  }

  entry(cid, name) {
    const found = this.find(cid, name);
    if (found === null) throw new Wrong(`no ${name}`);
    return found;
  }

  /** The bytes of a file, each part of the size that is claimed above it. */
  file(cid, claimed = null, level = 0) {
    if (level >= 64) throw new Wrong("file is too deep");
    const node = this.stat(cid);
    if (node.kind !== "file") throw new Wrong("not a file");
    if (claimed !== null && node.size !== claimed) throw new Wrong("part has another size");
    if (cid.codec === RAW) return this.get(cid);
    const below = node.links.map((link, n) => this.file(link.cid, node.message.sizes[n], level + 1));
    return Buffer.concat([node.message.data ?? Buffer.alloc(0), ...below]);
  }
}

/** Returns [number, state] for each of the thirteen checks. */
export function auditRecord(blocks, cid) {
  const record = () => blocks.need(cid, "Record");
  return CHECKS.map((check, n) => {
    const findings = new Findings();
    findings.look(() => check(blocks, n === 0 ? cid : record(), findings, cid));
    return [n + 1, findings.state];
  });
}

/** How many of the nodes that agree had committed before any receipt was signed, and how many agree; null: not known. */
export function blindness(blocks, cid, checks) {
  if (![1, 7, 8, 9, 10].every((number) => checks[number - 1][1] === true)) return null;
  const record = blocks.load(cid, "Record");
  const rounds = voices(record).map((one) => blocks.load(blocks.load(one, "Receipt").get("round"), "CommitmentList"));
  const nodes = rounds.map((round) => new Set(round.get("commitments").map((one) => one.get("node"))));
  const agreeing = record.get("receipts").map((one) => blocks.load(one, "Receipt").get("node"));
  return { blind: agreeing.filter((node) => nodes.every((round) => round.has(node))).length, agreeing: agreeing.length };
}

const same = (one, other) => one.id === other.id;
export const rule = (holds, what) => {
  if (!holds) throw new Wrong(what);
};
/** Which of the two types of functions a block is, as it says itself. */
const kindOf = (blocks, record) =>
  tried(() => decodeCbor(blocks.get(record.get("function"))).get("v"), null) === "wasm-function/1" ? "WasmFunction" : "Function";
const needFunction = (blocks, record) => blocks.need(record.get("function"), kindOf(blocks, record));
const voices = (record) => [...record.get("receipts"), ...record.get("dissent")];
const claimOf = (receipt) => `${receipt.get("output").id}/${receipt.get("exit_code")}`;

function closure(blocks, record, cid) {
  const nodes = [cid, ...["task", "function", "input", "commitments"].map((name) => record.get(name))];
  for (const receipt of voices(record)) {
    nodes.push(receipt, ...tried(() => [blocks.load(receipt, "Receipt").get("round")], []));
  }
  const trees = [record.get("output")];
  const kind = kindOf(blocks, record);
  const f = tried(() => blocks.load(record.get("function"), kind), null);
  if (f !== null && kind === "WasmFunction") {
    nodes.push(f.get("runtime"));
    trees.push(f.get("module"));
  } else if (f !== null) {
    nodes.push(f.get("lock"), f.get("runtime"));
    trees.push(f.get("source"));
    trees.push(...tried(() => blocks.load(f.get("lock"), "Lock").get("wheels"), []).map((wheel) => wheel.get("wheel")));
    trees.push(...tried(() => blocks.load(f.get("runtime"), "Runtime").get("files"), []).map((file) => file.get("cid")));
  }
  trees.push(...tried(() => contents(blocks.load(record.get("input"), "Input")), []));
  return { nodes: [...nodes, ...record.get("parents")], trees };
}

const contents = (x) => [x.get("data"), ...x.get("volumes").map((volume) => volume.get("cid"))].filter((one) => one !== null);

const CHECKS = [
  (blocks, cid) => {
    if (tried(() => decodeCbor(blocks.get(cid)).get("v"), null) === "unverified-record/1") throw new Missing("nothing is claimed");
    blocks.load(cid, "Record");
  },

  (blocks, record, findings, cid) => {
    const { nodes, trees } = closure(blocks, record, cid);
    for (const node of nodes) findings.look(() => linksOf(node, blocks.get(node)));
    const seen = new Set();
    while (trees.length) {
      const next = trees.pop();
      if (seen.has(next.id)) continue;
      seen.add(next.id);
      findings.look(() => trees.push(...linksOf(next, blocks.get(next))));
    }
  },

  (blocks, record, findings) => {
    const of = (name, type) => findings.look(() => blocks.load(record.get(name), type));
    const kind = kindOf(blocks, record);
    const task = of("task", "Task"), f = of("function", kind), x = of("input", "Input");
    if (task) findings.look(() => rule(same(task.get("function"), record.get("function")), "another function"));
    if (task) findings.look(() => rule(same(task.get("input"), record.get("input")), "another input"));
    if (f && kind === "Function") findings.look(() => blocks.load(f.get("lock"), "Lock"));
    if (f && x && kind === "WasmFunction") findings.look(() => checkArguments(x.get("args")));
    if (f) findings.look(() => blocks.load(f.get("runtime"), kind === "Function" ? "Runtime" : "WasmRuntime"));
    for (const content of x ? contents(x) : []) findings.look(() => blocks.stat(content));
  },

  (blocks, record) => {
    const f = needFunction(blocks, record);
    if (f.get("v") === "wasm-function/1") {
      rule(blocks.file(f.get("module")).subarray(0, 8).equals(Buffer.from("0061736d01000000", "hex")), "not a module");
    } else if (f.get("entry") === null) blocks.entries(f.get("source"));
    else rule(blocks.stat(blocks.entry(f.get("source"), "function.py")).kind === "file", "function.py is no file");
  },

  (blocks, record, findings) => {
    const f = needFunction(blocks, record);
    if (f.get("v") === "wasm-function/1") return;
    const lock = blocks.need(f.get("lock"), "Lock");
    for (const wheel of lock.get("wheels")) {
      findings.look(() => rule(sha256(blocks.file(wheel.get("wheel"))).toString("hex") === wheel.get("sha256"), "another wheel"));
    }
  },

  (blocks, record, findings) => {
    const f = needFunction(blocks, record);
    if (f.get("v") === "wasm-function/1") return void blocks.need(f.get("runtime"), "WasmRuntime");
    const runtime = blocks.need(f.get("runtime"), "Runtime");
    for (const file of runtime.get("files")) {
      findings.look(() => rule(BigInt(blocks.file(file.get("cid")).length) === file.get("size"), "another size"));
    }
  },

  (blocks, record, findings) => {
    const listed = blocks.load(record.get("commitments"), "CommitmentList");
    findings.look(() => rule(same(listed.get("task"), record.get("task")), "list of another task"));
    for (const one of listed.get("commitments")) {
      findings.look(() => {
        rule(same(one.get("task"), record.get("task")), "commitment to another task");
        checkSigned(one, one.get("node"));
      });
    }
  },

  (blocks, record, findings) => {
    const nodes = new Set();
    for (const cid of voices(record)) {
      const receipt = findings.look(() => blocks.load(cid, "Receipt"));
      if (!receipt) continue;
      findings.look(() => {
        rule(same(receipt.get("task"), record.get("task")), "receipt of another task");
        checkSigned(receipt, receipt.get("node"));
      });
      findings.look(() => rule(!nodes.has(receipt.get("node")), "node has two receipts"));
      nodes.add(receipt.get("node"));
    }
  },

  (blocks, record, findings) => {
    const bytesOf = (one) => encodeCbor(one).toString("hex");
    const last = blocks.need(record.get("commitments"), "CommitmentList");
    const final = new Set(last.get("commitments").map(bytesOf));
    for (const cid of voices(record)) {
      findings.look(() => {
        const receipt = blocks.need(cid, "Receipt");
        const round = blocks.load(receipt.get("round"), "CommitmentList");
        rule(same(round.get("task"), record.get("task")), "round of another task");
        rule(round.get("commitments").every((one) => final.has(bytesOf(one))), "round is not part of the list");
        const own = round.get("commitments").find((one) => one.get("node") === receipt.get("node"));
        rule(own !== undefined, "node did not commit");
        rule(own.get("digest") === digestOf(receipt), "not what was committed to");
      });
    }
  },

  (blocks, record) => {
    const receipts = voices(record).map((cid) => [cid, blocks.need(cid, "Receipt")]);
    const groups = Map.groupBy(receipts, ([, receipt]) => claimOf(receipt));
    const [most] = [...groups.values()].toSorted((one, other) => other.length - one.length);
    const asked = record.get("rule"), confidence = Number(asked.get("confidence"));
    const kinds = (name) => new Set(receipts.map(([, receipt]) => String(receipt.get(name))));
    rule(kinds("node").size === receipts.length && kinds("task").size <= 1, "not of distinct nodes and one task");
    rule(most !== undefined && most.length >= confidence && 2 * most.length > receipts.length, "not agreed");
    const engines = new Set(most.map(([, receipt]) => `${receipt.get("engine").get("name")}/${receipt.get("engine").get("arch")}`));
    rule(!asked.get("diverse") || engines.size >= Math.min(2, confidence), "not diverse");
    rule(same(most[0][1].get("output"), record.get("output")), "agreed on another output");
    const agreeing = new Set(most.map(([cid]) => cid.id)), listed = record.get("receipts").map((cid) => cid.id);
    rule(agreeing.size === listed.length && listed.every((id) => agreeing.has(id)), "not those that agree");
  },

  (blocks, record, findings) => {
    const claims = new Set();
    for (const cid of record.get("receipts")) findings.look(() => claims.add(claimOf(blocks.need(cid, "Receipt"))));
    for (const cid of record.get("dissent")) {
      findings.look(() => rule(!claims.has(claimOf(blocks.need(cid, "Receipt"))), "dissent that agrees"));
    }
  },

  (blocks, record, findings) => {
    findings.look(() => {
      const written = blocks.file(blocks.entry(record.get("output"), "exit_code")).toString("latin1");
      rule(/^(0|[1-9][0-9]{0,2})\n?$/.test(written), "exit_code is no number");
      for (const cid of record.get("receipts")) {
        findings.look(() => rule(blocks.need(cid, "Receipt").get("exit_code") === BigInt(written.trim()), "another exit code"));
      }
    });
    readBelow(blocks, record.get("output"), findings);
  },

  (blocks, record, findings) => {
    const roots = contents(blocks.need(record.get("input"), "Input"));
    for (const cid of record.get("parents")) {
      findings.look(() => {
        const output = blocks.load(cid, "Ancestor").get("output");
        const given = idsBelow(blocks, output), taken = idsBelow(blocks, ...roots);
        const isCommon = [output.id, ...given.ids].some((id) => taken.ids.has(id) || roots.some((root) => root.id === id));
        if (!isCommon && (given.isOpen || taken.isOpen)) throw new Missing("not all of it is here");
        rule(isCommon, "nothing in common");
      });
    }
  },
];

function checkArguments(args) {
  const listed = args.get("argv");
  rule(args.size === 1 && Array.isArray(listed), "must be a list under the key argv");
  for (const one of listed) rule(typeof one === "string" && !one.includes("\0"), "must be a text without NUL");
}

function digestOf(receipt) {
  const names = ["task", "node", "nonce", "output", "state_digest"];
  const preimage = new Map([["v", "commitment-preimage/1"], ...names.map((name) => [name, receipt.get(name)])]);
  return sha256(encodeCbor(preimage)).toString("hex");
}

function readBelow(blocks, directory, findings, depth = 0) {
  const links = findings.look(() => {
    rule(depth < DEPTH, "too deep");
    return blocks.entries(directory);
  });
  for (const link of links ?? []) {
    const isRaw = link.cid.codec === RAW && link.tsize > 0n;
    const node = isRaw ? { kind: "file", size: link.tsize } : findings.look(() => blocks.stat(link.cid));
    if (node?.kind === "directory") readBelow(blocks, link.cid, findings, depth + 1);
    if (node?.kind === "file") findings.look(() => rule(BigInt(blocks.file(link.cid).length) === node.size, "another size"));
  }
}

/** The CIDs of everything in some directories, at any depth, as far as they are here. */
function idsBelow(blocks, ...roots) {
  const found = { ids: new Set(), isOpen: false };
  const todo = roots.map((root) => [root, 0]);
  while (todo.length) {
    const [cid, depth] = todo.pop();
    const findings = new Findings();
    const links = findings.look(() => (cid.codec === RAW || blocks.stat(cid).kind !== "directory" ? [] : blocks.entries(cid)));
    if (findings.state === false || depth > DEPTH) throw new Wrong("malformed, or too deep");
    found.isOpen ||= findings.state === null;
    for (const link of links ?? []) {
      if (!found.ids.has(link.cid.id)) todo.push([link.cid, depth + 1]);
      found.ids.add(link.cid.id);
    }
  }
  return found;
}

/** Check 17, over the ancestors of some records. */
export function auditAncestors(blocks, records) {
  const findings = new Findings();
  const seen = new Set(records.map((record) => record.id));
  let level = records.flatMap((record) => findings.look(() => blocks.need(record, "Ancestor"))?.get("parents") ?? []);
  while (level.length) {
    const next = [];
    for (const cid of level) {
      if (seen.has(cid.id)) continue;
      seen.add(cid.id);
      const ancestor = findings.look(() => blocks.load(cid, "Ancestor"));
      if (!ancestor) continue;
      next.push(...ancestor.get("parents"));
      if (ancestor.get("v") !== "record/1") findings.isOpen = true;
      else for (const [, state] of auditRecord(blocks, cid)) findings.look(() => judge(state));
    }
    level = next;
  }
  return [17, findings.state];
}

function judge(state) {
  if (state === false) throw new Wrong("an ancestor is invalid");
  if (state === null) throw new Missing("an ancestor is unchecked");
}
