import assert from "node:assert/strict";
import { test } from "node:test";

import { EntropyStream, chacha20Block } from "../../../js_host/entropy.mjs";

const hex = (bytes) => Buffer.from(bytes).toString("hex");

function state({ key, counter, nonce }) {
  const bytes = new Uint8Array(64);
  bytes.set(new TextEncoder().encode("expand 32-byte k"), 0);
  bytes.set(key, 16);
  const view = new DataView(bytes.buffer);
  view.setUint32(48, counter, true);
  bytes.set(nonce, 52);
  return Int32Array.from({ length: 16 }, (_, i) => view.getInt32(4 * i, true));
}

test("block function: RFC 8439 section 2.3.2", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  const nonce = Buffer.from("000000090000004a00000000", "hex");
  assert.equal(
    hex(chacha20Block(state({ key, counter: 1, nonce }))),
    "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e" +
      "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e",
  );
});

test("stream of the zero key: RFC 8439 appendix A.1, vectors 1 and 2", () => {
  const bytes = new Uint8Array(128);
  new EntropyStream(new Uint8Array(32)).fill(bytes);
  assert.equal(
    hex(bytes),
    "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7" +
      "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586" +
      "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed" +
      "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
  );
});

test("the stream does not depend on how it is cut", () => {
  const whole = new Uint8Array(1000);
  new EntropyStream(new Uint8Array(32).fill(7)).fill(whole);
  const stream = new EntropyStream(new Uint8Array(32).fill(7));
  const parts = [1, 63, 64, 65, 0, 7, 800].map((n) => {
    const part = new Uint8Array(n);
    stream.fill(part);
    return hex(part);
  });
  assert.equal(parts.join(""), hex(whole));
});

test("reset begins the other key's stream, also in the middle of a block", () => {
  const stream = new EntropyStream(new Uint8Array(32));
  stream.fill(new Uint8Array(10));
  stream.reset(new Uint8Array(32).fill(1));
  const [after, fresh] = [new Uint8Array(100), new Uint8Array(100)];
  stream.fill(after);
  new EntropyStream(new Uint8Array(32).fill(1)).fill(fresh);
  assert.deepEqual(after, fresh);
});

test("a key of another length is refused", () => {
  assert.throws(() => new EntropyStream(new Uint8Array(31)), RangeError);
});

test("a stream that is gone on with gives what comes next", () => {
  const key = new Uint8Array(32).fill(7);
  for (const drawn of [0, 1, 63, 64, 65, 128, 1000]) {
    const [whole, later] = [new EntropyStream(key), new EntropyStream(key)];
    whole.fill(new Uint8Array(drawn));
    later.fill(new Uint8Array(5));
    later.resume(drawn);
    const [expected, found] = [new Uint8Array(150), new Uint8Array(150)];
    whole.fill(expected);
    later.fill(found);
    assert.equal(hex(found), hex(expected));
    assert.equal(later.drawn, whole.drawn);
  }
});

test("a stream is gone on with beyond the first 32 bits of its counter", () => {
  const [whole, later] = [new EntropyStream(new Uint8Array(32)), new EntropyStream(new Uint8Array(32))];
  whole.resume((2 ** 32 - 1) * 64);
  later.resume(2 ** 32 * 64);
  whole.fill(new Uint8Array(64));
  const [expected, found] = [new Uint8Array(8), new Uint8Array(8)];
  whole.fill(expected);
  later.fill(found);
  assert.equal(hex(found), hex(expected));
});
