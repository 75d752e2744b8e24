// @helia/verified-fetch, which checks every block itself, as a client of our trustless gateway on loopback.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startPython } from "./python_server.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const required = (process.env.BACALHAU_REQUIRE ?? "").split(",").includes("helia");
const installed = existsSync(`${here}node_modules/@helia/verified-fetch`);
const skip = installed || required ? false : "needs helia: make interop";

let server, facts, helia, verifiedFetch;

/** Tells Helia that the gateway on loopback has everything. */
class OneProvider {
  name = "loopback";
  constructor(multiaddrs) {
    this.multiaddrs = multiaddrs;
  }
  async *findProviders(cid) {
    const id = { toString: () => "gateway", toCID: () => cid, equals: () => true };
    yield { id, multiaddrs: this.multiaddrs, protocols: ["transport-ipfs-gateway-http"], router: this.name };
  }
}

before(async () => {
  if (skip) return;
  ({ server, facts } = await startPython("serve_gateway.py"));
  const { createHeliaLight } = await import("helia");
  const { withHTTP } = await import("@helia/http");
  const { createVerifiedFetchWithHelia } = await import("@helia/verified-fetch");
  const { MemoryBlockstore } = await import("blockstore-core/memory");
  const { multiaddr } = await import("@multiformats/multiaddr");
  const dagCbor = await import("@ipld/dag-cbor");
  const light = createHeliaLight({ codecs: [dagCbor], blockstore: new MemoryBlockstore() });
  light.addRouter(() => new OneProvider([multiaddr(`/ip4/127.0.0.1/tcp/${new URL(facts.url).port}/http`)]));
  helia = withHTTP(light, { recursiveGateways: [], delegatedRouters: [], allowInsecure: true, allowLocal: true });
  await helia.start();
  verifiedFetch = await createVerifiedFetchWithHelia(helia);
});

after(async () => {
  await helia?.stop();
  server?.stdin.end();
});

test("a file in a directory", { skip }, async () => {
  const response = await verifiedFetch(`ipfs://${facts.cids.root}/hello.txt`);
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "hello\n");
});

test("a file of several blocks", { skip }, async () => {
  const response = await verifiedFetch(`ipfs://${facts.cids.large}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  assert.equal(bytes.length, facts.size);
  assert.equal(createHash("sha256").update(bytes).digest("hex"), facts.sha256);
});

test("names that are not ASCII, and an empty file", { skip }, async () => {
  const response = await verifiedFetch(`ipfs://${facts.cids.root}/größe/leer`);
  assert.equal(response.status, 200);
  assert.equal(await response.text(), "");
});

test("a file in a sharded directory", { skip }, async () => {
  const name = `file-02999-${"x".repeat(40)}.txt`;
  const response = await verifiedFetch(`ipfs://${facts.cids.root}/many/${name}`);
  assert.equal(await response.text(), "2999\n");
});

test("a node of a record", { skip }, async () => {
  const response = await verifiedFetch(`ipfs://${facts.cids.record}`, {
    headers: { accept: "application/vnd.ipld.dag-cbor" },
  });
  const { decode } = await import("@ipld/dag-cbor");
  const node = decode(new Uint8Array(await response.arrayBuffer()));
  assert.equal(node.exit_code, 0);
  assert.equal(String(node.output), facts.cids.root);
});

test("wrong bytes are not taken: the client checks them, as it would ours", { skip }, async () => {
  const served = await fetch(`${facts.url}/ipfs/${facts.cids.lie}?format=raw`);
  assert.deepEqual([served.status, await served.text()], [200, "a lie"]);
  const ask = (cid) => verifiedFetch(`ipfs://${cid}`, { signal: AbortSignal.timeout(20_000) });
  const believed = await ask(facts.cids.lie);
  assert.equal(believed.status, 502);
  assert.notEqual(await believed.text(), "a lie");
  assert.equal((await ask(facts.cids.honest)).status, 200); // a block that is served in the same way
});

test("a CAR that cannot be finished is cut off, not ended", { skip }, async () => {
  const whole = await fetch(`${facts.url}/ipfs/${facts.cids.large}?format=car`);
  assert.ok((await whole.arrayBuffer()).byteLength > facts.size);
  const response = await fetch(`${facts.url}/ipfs/${facts.cids.broken}?format=car`);
  assert.equal(response.status, 200);
  await assert.rejects(response.arrayBuffer(), { name: "TypeError", message: "terminated" });
});
