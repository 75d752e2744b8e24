import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { deflateRawSync } from "node:zlib";

import { RemoteTree } from "../../../js_host/remote_tree.mjs";
import { SourceTrace } from "../../../js_host/source_trace.mjs";
import { SourceTree } from "../../../js_host/source_tree.mjs";
import { WheelTree } from "../../../js_host/wheel_tree.mjs";

const MIB = 1 << 20;

/** A parent with one file of 2.5 MiB whose bytes tell their mebibyte. */
function fakeParent() {
  const asked = [];
  const answers = {
    lookup: ({ name }) =>
      name === "big" ? { kind: "file", size: 2.5 * MIB, handle: 7, target: null } : { kind: "absent" },
    list: () => ({ names: ["a", "b"] }),
    read: () => ({}),
  };
  return {
    asked,
    ask(header) {
      asked.push(header);
      const { position, length } = header;
      const size = Math.max(0, Math.min(length, 2.5 * MIB - position));
      return { header: answers[header.type](header), payload: new Uint8Array(size || 0).fill(position / MIB) };
    },
  };
}

test("a remote tree asks for whole pieces, each once", () => {
  const parent = fakeParent();
  const tree = new RemoteTree(parent);
  assert.deepEqual(tree.read(7, 10, 5), new Uint8Array(5).fill(0));
  assert.deepEqual(tree.read(7, MIB - 2, 5), new Uint8Array(2).fill(0));
  assert.deepEqual(tree.read(7, 2 * MIB, MIB), new Uint8Array(MIB / 2).fill(2));
  assert.deepEqual(parent.asked.map(({ position, length }) => [position, length]), [[0, MIB], [2 * MIB, MIB]]);
});

test("a remote tree forgets the oldest piece", () => {
  const parent = fakeParent();
  const tree = new RemoteTree(parent);
  for (let handle = 0; handle < 17; handle++) tree.read(handle, 0, 1);
  tree.read(16, 0, 1);
  assert.equal(parent.asked.length, 17);
  tree.read(0, 0, 1);
  assert.equal(parent.asked.length, 18);
});

test("lookups tell absent from there", () => {
  const tree = new RemoteTree(fakeParent());
  assert.deepEqual(tree.lookup(0, "big"), { kind: "file", size: 2.5 * MIB, handle: 7, target: null });
  assert.equal(tree.lookup(0, "small"), null);
  assert.deepEqual(tree.list(0), ["a", "b"]);
});

let folder, fd, members;
before(() => {
  folder = mkdtempSync(join(tmpdir(), "wheel-"));
  const packed = deflateRawSync(Buffer.from("deflated text"));
  writeFileSync(join(folder, "wheel"), Buffer.concat([Buffer.from("plain"), packed]));
  fd = openSync(join(folder, "wheel"), "r");
  members = [
    ["pkg/z.py", fd, 5, packed.length, 13, 8],
    ["pkg/é.py", fd, 0, 5, 5, 0],
    ["a.py", fd, 0, 5, 5, 0],
    ["pkg/bad.py", fd, 5, packed.length, 12, 8],
    ["pkg/odd.py", fd, 0, 5, 5, 12],
  ];
});
after(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const textAt = (tree, handle, position, length) => new TextDecoder().decode(tree.read(handle, position, length));

test("a wheel's members form a tree, listed by UTF-8, read stored or inflated", () => {
  const tree = new WheelTree(members);
  assert.deepEqual(tree.list(tree.root), ["a.py", "pkg"]);
  const { handle: pkg, kind } = tree.lookup(tree.root, "pkg");
  assert.equal(kind, "directory");
  assert.deepEqual(tree.list(pkg), ["bad.py", "odd.py", "z.py", "é.py"]);
  const z = tree.lookup(pkg, "z.py");
  assert.deepEqual([z.kind, z.size], ["file", 13]);
  assert.equal(textAt(tree, z.handle, 9, 100), "text");
  assert.equal(textAt(tree, tree.lookup(pkg, "é.py").handle, 0, 5), "plain");
  assert.equal(tree.lookup(pkg, "absent"), null);
});

test("a member of another size or method than was said is refused", () => {
  const tree = new WheelTree(members);
  const pkg = tree.lookup(tree.root, "pkg").handle;
  assert.throws(() => tree.read(tree.lookup(pkg, "bad.py").handle, 0, 1));
  assert.throws(() => tree.read(tree.lookup(pkg, "odd.py").handle, 0, 1), /method 12/);
});

test("a function's directory has files, links and empty directories, listed by UTF-8", () => {
  const tree = new SourceTree([
    ["é.py", "file", "6869"], ["pkg", "directory", ""], ["pkg/a.txt", "file", ""], ["empty", "directory", ""],
    ["link", "symlink", "pkg/a.txt"],
  ]);
  assert.deepEqual(tree.list(tree.root), ["empty", "link", "pkg", "é.py"]);
  const { handle, kind, size } = tree.lookup(tree.root, "é.py");
  assert.deepEqual([kind, size, textAt(tree, handle, 1, 9)], ["file", 2, "i"]);
  const link = tree.lookup(tree.root, "link");
  assert.deepEqual([link.kind, link.size, link.target], ["symlink", 9, "pkg/a.txt"]);
  assert.deepEqual(tree.list(tree.lookup(tree.root, "empty").handle), []);
  assert.equal(tree.lookup(tree.lookup(tree.root, "pkg").handle, "a.txt").size, 0);
  assert.equal(tree.lookup(tree.root, "absent"), null);
});

test("a trace knows what was asked of a tree, once, and answers as the tree does", () => {
  const tree = new SourceTree([["a.py", "file", "6162"], ["sub", "directory", ""], ["sub/b", "file", "63"], ["to", "symlink", "a.py"]]);
  const trace = new SourceTrace(tree);
  const sub = trace.lookup(trace.root, "sub");
  const file = trace.lookup(sub.handle, "b");
  assert.deepEqual(trace.questions, [["lookup", "sub"], ["lookup", "sub/b"]]);
  assert.equal(file.size, 1);
  assert.equal(file.size, 1);
  assert.deepEqual(trace.list(sub.handle), ["b"]);
  assert.equal(Buffer.from(trace.read(file.handle, 0, 9)).toString(), "c");
  assert.equal(trace.lookup(trace.root, "none"), null);
  assert.equal(trace.lookup(trace.root, "to").target, "a.py");
  assert.deepEqual(trace.list(trace.root), ["a.py", "sub", "to"]);
  assert.deepEqual(trace.questions.slice(2), [
    ["size", "sub/b"], ["list", "sub/"], ["read", "sub/b"], ["lookup", "none"], ["lookup", "to"], ["list", ""],
  ]);
  const later = new SourceTrace(tree);
  later.take(trace.questions);
  assert.deepEqual(later.questions, trace.questions);
});

test("a trace with too many questions has none to give", () => {
  const trace = new SourceTrace(new SourceTree([]));
  for (let i = 0; i < 4_001; i++) trace.lookup(trace.root, `x${i}`);
  assert.equal(trace.questions, null);
  const long = new SourceTrace(new SourceTree([]));
  long.lookup(long.root, "x".repeat(100_001));
  assert.equal(long.questions, null);
});
