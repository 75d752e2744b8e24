import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { Parent } from "../../../js_host/frames.mjs";

let folder;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "frames-"))));
afterEach(() => rmSync(folder, { recursive: true }));

/** Let a Parent read `input` and return what `use` gives with what was written. */
function speak(input, use) {
  const [inPath, outPath] = [join(folder, "in"), join(folder, "out")];
  writeFileSync(inPath, input);
  const [inFd, outFd] = [openSync(inPath, "r"), openSync(outPath, "w")];
  try {
    return { value: use(new Parent(inFd, outFd)), written: readFileSync(outPath) };
  } finally {
    closeSync(inFd);
    closeSync(outFd);
  }
}

const lengths = (head, body) => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(head, 0);
  bytes.writeUInt32LE(body, 4);
  return bytes;
};

test("a frame is two lengths, header and payload", () => {
  const { written } = speak("", (parent) => parent.send({ type: "é" }, new Uint8Array([1, 2, 3])));
  const head = Buffer.from('{"type":"é"}');
  assert.deepEqual(written, Buffer.concat([lengths(head.length, 3), head, Buffer.from([1, 2, 3])]));
});

test("what is sent is received", () => {
  const { written } = speak("", (parent) => parent.send({ type: "a", n: 1 }, new Uint8Array(70_000).fill(5)));
  const { value } = speak(written, (parent) => parent.receive());
  assert.deepEqual(value.header, { type: "a", n: 1 });
  assert.deepEqual(value.payload, new Uint8Array(70_000).fill(5));
});

test("a pipe that ends early, a frame too large and text that is not UTF-8 are refused", () => {
  assert.throws(() => speak(lengths(5, 0), (parent) => parent.receive()), /ended after 0 of 5 bytes/);
  assert.throws(() => speak(lengths(1 << 27, 0), (parent) => parent.receive()), RangeError);
  assert.throws(() => speak(lengths(2, 1 << 25), (parent) => parent.receive()), RangeError);
  assert.throws(() => speak(Buffer.concat([lengths(1, 0), Buffer.from([255])]), (parent) => parent.receive()), TypeError);
});

test("frames that are held back come out in order, large ones between them", () => {
  const payloads = [10, 70_000, 65_000, 1000, 0].map((size, i) => new Uint8Array(size).fill(i + 1));
  const { written, value } = speak("", (parent) => {
    parent.hold();
    parent.send({ type: "piece", i: 0 }, payloads[0]);
    const early = readFileSync(join(folder, "out")).length;
    payloads.slice(1).forEach((payload, i) => parent.send({ type: "piece", i: i + 1 }, payload));
    parent.release();
    parent.send({ type: "end" });
    return early;
  });
  assert.equal(value, 0);
  speak(written, (parent) => {
    for (const [i, payload] of payloads.entries()) {
      assert.deepEqual(parent.receive(), { header: { type: "piece", i }, payload });
    }
    assert.deepEqual(parent.receive().header, { type: "end" });
  });
});
