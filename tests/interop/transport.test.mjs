// A js-libp2p node as a peer of ours on loopback: it dials, identifies, pings, asks and fetches blocks, which it checks.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";

import { startPython } from "./python_server.mjs";

const required = (process.env.BACALHAU_REQUIRE ?? "").split(",").includes("js-libp2p");
const skip = required ? false : "nodes on real sockets: make interop, and BACALHAU_REQUIRE=js-libp2p";

const FOUND = 0;
const ABSENT = 1;

let server, facts, ours, theirs, identified, CID;

before(async () => {
  if (skip) return;
  ({ server, facts } = await startPython("serve_transport.py", "interop"));
  const { createLibp2p } = await import("libp2p");
  const { tcp } = await import("@libp2p/tcp");
  const { noise } = await import("@libp2p/noise");
  const { yamux } = await import("@libp2p/yamux");
  const { identify } = await import("@libp2p/identify");
  const { ping } = await import("@libp2p/ping");
  const { multiaddr } = await import("@multiformats/multiaddr");
  ({ CID } = await import("multiformats/cid"));
  ours = multiaddr(facts.address);
  theirs = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
  });
  identified = new Promise((resolve) => theirs.addEventListener("peer:identify", ({ detail }) => resolve(detail)));
});

after(async () => {
  await theirs?.stop();
  server?.stdin.end();
});

test("it dials ours over Noise and Yamux", { skip }, async () => {
  const connection = await theirs.dial(ours);
  assert.equal(connection.remotePeer.toString(), facts.peer);
  assert.equal(connection.encryption, "/noise");
  assert.equal(connection.multiplexer, "/yamux/1.0.0");
});

test("it identifies ours", { skip }, async () => {
  const { protocols } = await identified;
  for (const name of ["/bacalhau/request/1", "/bacalhau/blocks/1", "/meshsub/1.1.0", "/ipfs/ping/1.0.0"]) {
    assert.ok(protocols.includes(name), name);
  }
  assert.ok(!protocols.some((name) => name.includes("plaintext")));
});

test("it pings ours", { skip }, async () => {
  assert.ok((await theirs.services.ping.ping(ours)) >= 0);
});

test("it asks ours, twice on one stream", { skip }, async () => {
  const bytes = await exchange("/bacalhau/request/1", [request(7, "first"), request(8, "second")], 9 + 10 + 9 + 11);
  assert.deepEqual(bytes.subarray(0, 9), Buffer.from([0, 0, 0, 10, 16, 0, 0, 0, 7]));
  assert.equal(bytes.subarray(9, 19).toString(), "echo first");
  assert.equal(bytes.subarray(28).toString(), "echo second");
});

for (const name of ["small", "node", "large"]) {
  test(`it fetches the ${name} block`, { skip }, async () => {
    const cid = CID.parse(facts.cids[name]);
    const bytes = await exchange("/bacalhau/blocks/1", [want([cid])], 5);
    assert.equal(bytes[0], FOUND);
    const block = bytes.subarray(5);
    assert.equal(block.length, bytes.readUInt32BE(1));
    assert.deepEqual(createHash("sha256").update(block).digest(), Buffer.from(cid.multihash.digest));
  });
}

test("it hears that a block is absent, among others that are not", { skip }, async () => {
  const cids = [facts.cids.absent, facts.cids.small].map((text) => CID.parse(text));
  const bytes = await exchange("/bacalhau/blocks/1", [want(cids)], 10);
  assert.deepEqual([...bytes.subarray(0, 5)], [ABSENT, 0, 0, 0, 0]);
  assert.equal(bytes.subarray(10).toString(), "a small block\n");
});

test("a future version is refused, and the connection goes on", { skip }, async () => {
  await assert.rejects(theirs.dialProtocol(ours, "/bacalhau/request/2"), { name: "UnsupportedProtocolError" });
  assert.ok((await theirs.services.ping.ping(ours)) >= 0);
});

function request(id, text) {
  const head = Buffer.alloc(9);
  head.writeUInt32BE(text.length, 0);
  head[4] = 1;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, Buffer.from(text)]);
}

function want(cids) {
  return Buffer.concat([Buffer.from([cids.length]), ...cids.flatMap(({ bytes }) => [Buffer.from([bytes.length]), bytes])]);
}

/** Sends the messages and returns what comes: `size` bytes, or as many more as the head of the last block announces. */
async function exchange(protocol, messages, size) {
  const stream = await theirs.dialProtocol(ours, protocol);
  for (const message of messages) {
    if (!stream.send(message)) await stream.onDrain();
  }
  let bytes = Buffer.alloc(0);
  for await (const piece of stream) {
    bytes = Buffer.concat([bytes, piece.subarray()]);
    if (bytes.length < size) continue;
    const announced = protocol === "/bacalhau/blocks/1" ? bytes.readUInt32BE(size - 4) : 0;
    if (bytes.length >= size + announced) break;
  }
  await stream.close();
  return bytes;
}
