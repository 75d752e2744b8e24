// The types of docs/record.ipldsch with their bounds: each is a function that throws Wrong for what is none.

import { createPublicKey, verify } from "node:crypto";

import { BASE58, Cid, encodeCbor, Wrong } from "./codecs.mjs";

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/u;
const MAX = (1n << 63n) - 1n;

const must = (holds, what) => {
  if (!holds) throw new Wrong(what);
};
const isText = (value) => typeof value === "string";
const bytes = (value) => Buffer.byteLength(value);

const link = (value) => must(value instanceof Cid, "must be a link");
const flag = (value) => must(typeof value === "boolean", "must be a boolean");
const int = (low = 0n, high = MAX) => (value) =>
  must(typeof value === "bigint" && value >= low && value <= high, "must be an integer within bounds");
const bounded = (most) => (value) =>
  must(isText(value) && value !== "" && bytes(value) <= most && !CONTROL.test(value), "must be a short text");
const word = bounded(255);
const shaped = (pattern) => (value) => must(isText(value) && pattern.test(value), `must match ${pattern}`);
const hex32 = shaped(/^[0-9a-f]{64}$/);
const nullable = (type) => (value) => value === null || type(value);
const constant = (expected) => (value) => must(value === expected, `must be ${expected}`);

const parts = (path) => path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && bytes(part) <= 255);
const relative = (value) => {
  bounded(4096)(value);
  must(parts(value), "must be a path");
};
const absolute = (value) => {
  bounded(4096)(value);
  must(value.startsWith("/") && parts(value.slice(1)), "must be an absolute path");
};
const fileName = (value) => {
  word(value);
  must(!value.includes("/") && value !== "." && value !== "..", "must be a name");
};
const project = (value) => {
  word(value);
  must(value === value.replace(/[-_.]+/g, "-").toLowerCase(), "must be normalised");
};
const identifier = (value) => {
  word(value);
  must(/^[\p{XID_Start}_][\p{XID_Continue}]*$/u.test(value), "must be an identifier");
};
const environment = (value) => {
  must(value instanceof Map, "must be a map");
  for (const [name, text] of value) {
    word(name);
    must(!name.includes("=") && isText(text) && !text.includes("\0"), "must be variables");
  }
};
const json = (value, depth = 0) => {
  must(depth <= 64 && !(value instanceof Cid), "must be JSON, at most 64 deep");
  if (typeof value === "bigint") must(value >= -MAX - 1n && value <= MAX, "must have 64 bits");
  const below = value instanceof Map ? [...value.values()] : Array.isArray(value) ? value : [];
  for (const item of below) json(item, depth + 1);
};
const jsonMap = (value) => {
  must(value instanceof Map, "must be a map");
  json(value);
};

const ascending = (keys) => keys.every((key, n) => n === 0 || Buffer.compare(keys[n - 1], key) < 0);
const list = (type, { most = Infinity, by = null } = {}) => (value) => {
  must(Array.isArray(value) && value.length <= most, "must be a list, not too long");
  for (const item of value) type(item);
  if (by !== null) must(ascending(value.map(by)), "must be sorted, without duplicates");
};
const byField = (name) => (item) => Buffer.from(item.get(name));
const links = list(link, { most: 4096, by: (cid) => cid.bytes });

const filled = (type) => (value) => {
  type(value);
  must(value.length > 0, "must not be empty");
};
const cidText = (value) => must(isText(value) && value.length <= 256 && Cid.fromText(value).toString() === value, "must be a CID's text");

/** Exactly these keys, each of its type. */
const struct = (shape) => (value) => {
  must(value instanceof Map && value.size === Object.keys(shape).length, "must be a map with these keys");
  for (const [name, type] of Object.entries(shape)) {
    must(value.has(name), `${name} is missing`);
    type(value.get(name));
  }
};

// Peers and signatures ---------------------------------------------------------------------------------------------------

const P = (1n << 255n) - 19n;

/** Returns the 32 bytes of the key that a peer id holds. */
export function keyOf(peer) {
  must(isText(peer) && peer.length === 52, "must be a peer id");
  let value = 0n;
  for (const character of peer) {
    const digit = BASE58.indexOf(character);
    must(digit >= 0, "must be base58");
    value = value * 58n + BigInt(digit);
  }
  // The leading zero byte of the multihash is the "1" that the text begins with.
  const raw = Buffer.from(value.toString(16).padStart(74, "0"), "hex");
  must(peer[0] === "1" && raw.length === 37 && raw.subarray(0, 5).equals(Buffer.from("2408011220", "hex")), "must be ed25519");
  const key = raw.subarray(5);
  const height = BigInt(`0x${Buffer.from(key).reverse().toString("hex")}`) & ((1n << 255n) - 1n);
  must(height < P && !SMALL_ORDER.has(height), "key is weak or not canonical");
  return key;
}

const power = (base, exponent) => {
  let result = 1n;
  for (let b = ((base % P) + P) % P, e = exponent; e > 0n; e >>= 1n, b = (b * b) % P) if (e & 1n) result = (result * b) % P;
  return result;
};
const root = (square) => {
  const found = power(square, (P + 3n) / 8n);
  return (found * found - square) % P === 0n ? found : (found * power(2n, (P - 1n) / 4n)) % P;
};
const SMALL_ORDER = (() => {
  const inverse = (value) => power(value, P - 2n);
  const d = (((-121665n * inverse(121666n)) % P) + P) % P;
  const half = root((1n + d) % P);
  const heights = new Set([0n, 1n, P - 1n]);
  for (const sign of [1n, -1n]) {
    const square = ((((sign * half - 1n) * inverse(d)) % P) + P) % P;
    if (power(square, (P - 1n) / 2n) !== 1n) continue;
    heights.add(root(square)).add(P - root(square));
  }
  return heights;
})();

const peer = (value) => void keyOf(value);
const signature = (value) => {
  must(isText(value) && /^u[A-Za-z0-9_-]{86}$/.test(value), "must be base64url of 64 bytes");
  must(Buffer.from(value.slice(1), "base64url").toString("base64url") === value.slice(1), "must be canonical");
};

/** Throws Wrong unless the node is signed by the peer. */
export function checkSigned(node, by) {
  const unsigned = new Map([...node].filter(([name]) => name !== "signature"));
  const message = Buffer.concat([Buffer.from("bacalhau-signature/1\0"), encodeCbor(unsigned)]);
  const key = createPublicKey({ key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), keyOf(by)]), format: "der", type: "spki" });
  must(verify(null, message, key, Buffer.from(node.get("signature").slice(1), "base64url")), "signature is not by this node");
}

// The types --------------------------------------------------------------------------------------------------------------

const engine = struct({ name: word, version: word, arch: word, isolation: list(word, { most: 64 }) });
const unverified = struct({
  v: constant("unverified-record/1"), tier: constant("unverified"), task: link, function: link, input: link, output: link,
  exit_code: int(0n, 255n), parents: links,
  runs: list(struct({ output: link, exit_code: int(0n, 255n), engine, node: nullable(peer) }), { most: 1000 }),
});
const commitment = struct({ v: constant("commitment/1"), task: link, node: peer, digest: hex32, signature });

export const TYPES = {
  Function: struct({ v: constant("function/1"), source: link, entry: nullable(identifier), lock: link, runtime: link }),
  Lock: struct({
    v: constant("lock/1"), python: word, platform: word,
    wheels: list(struct({ name: project, version: word, file_name: fileName, sha256: hex32, wheel: link }), { by: byField("name") }),
  }),
  Runtime: struct({
    v: constant("runtime/1"), profile: word, pyodide: word,
    files: list(struct({ path: relative, size: int(), cid: link }), { by: byField("path") }),
  }),
  WasmFunction: struct({ v: constant("wasm-function/1"), module: link, runtime: link }),
  WasmRuntime: struct({
    v: constant("wasm-runtime/1"), profile: word, engine: word, version: word, host: hex32, settings: jsonMap,
  }),
  Input: struct({
    v: constant("input/1"), data: nullable(link),
    volumes: list(struct({ path: absolute, cid: link }), { by: byField("path") }),
    outputs: list(struct({ name: fileName, path: absolute }), { by: byField("name") }),
    args: jsonMap, env: environment, seed: nullable(shaped(/^([0-9a-f]{2}){1,64}$/)), epoch: int(0n, 253402300799n),
    limits: struct({ fuel: nullable(int(1n)), memory: int(1n), output: int(1n) }),
  }),
  Task: struct({ v: constant("task/1"), function: link, input: link }),
  CommitmentList: struct({
    v: constant("commitments/1"), task: link, commitments: list(commitment, { most: 4096, by: byField("node") }),
  }),
  Receipt: struct({
    v: constant("receipt/1"), task: link, output: link, exit_code: int(0n, 255n), fuel: nullable(int()), state_digest: hex32,
    engine,
    node: peer, nonce: hex32, round: link, signature,
  }),
  Record: struct({
    v: constant("record/1"), tier: constant("verified"), task: link, function: link, input: link, output: link,
    rule: struct({ replication: int(1n, 1000n), confidence: int(1n, 1000n), diverse: flag }),
    commitments: link, receipts: links, dissent: links, parents: links,
  }),
  LogEntry: struct({
    v: constant("graph-entry/1"), publisher: peer, number: int(), previous: nullable(link), record: cidText,
    at: int(0n, 253402300799n),
  }),
  GraphHead: struct({ v: constant("graph-head/1"), publisher: peer, size: int(1n), last: link, tree: hex32, signature }),
  Graph: struct({ v: constant("graph/1"), head: link, records: filled(list(link, { most: 40000, by: (cid) => cid.bytes })) }),
  AnnotatedGraph: struct({
    v: constant("graph/2"), head: link, records: filled(list(link, { most: 40000, by: (cid) => cid.bytes })), merges: links,
    rivals: links,
  }),
  AnyGraph: (value) => (value instanceof Map && value.get("v") === "graph/2" ? TYPES.AnnotatedGraph : TYPES.Graph)(value),
  Merge: struct({ v: constant("merge/1"), output: link, parts: list(link, { most: 64 }) }),
  MergePart: struct({ v: constant("merge-part/1"), shards: list(struct({ number: int(), record: link }), { most: 4096 }) }),
  Ancestor: (value) => {
    if (!(value instanceof Map) || value.get("v") !== "unverified-record/1") return TYPES.Record(value);
    unverified(value);
    const same = (run) => run.get("output").id === value.get("output").id && run.get("exit_code") === value.get("exit_code");
    return must(value.get("runs").length > 0 && value.get("runs").every(same), "must have runs that say the same");
  },
};
