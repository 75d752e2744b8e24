import assert from "node:assert/strict";
import { test } from "node:test";

import { FILE_TIME_MS, handedFs } from "../../../js_host/handed_fs.mjs";
import { fakeModule } from "./fake_fs.mjs";

const CONTENT = new TextEncoder().encode("0123456789");

/** One directory with a file, a link and a directory; reads give at most three bytes. */
const provider = {
  lookup: (_handle, name) =>
    ({
      file: { kind: "file", size: 10, handle: "f", target: null },
      link: { kind: "symlink", size: 4, handle: "l", target: "file" },
      folder: { kind: "directory", size: 0, handle: "d", target: null },
    })[name] ?? null,
  list: () => ["file", "folder", "link"],
  read: (_handle, position, length) => CONTENT.subarray(position, position + Math.min(3, length)),
};

function mounted(given = provider) {
  const Module = fakeModule();
  const failures = [];
  const fs = handedFs(Module, given, (error) => failures.push(error));
  fs.mountDirectory("/in", "root");
  return { root: Module.FS.mounts["/in"], Module, fs, failures };
}

const errno = (code) => (error) => error.errno === code;

function read(node, length, position) {
  const buffer = new Uint8Array(length + 2);
  const count = node.stream_ops.read({ node }, buffer, 1, length, position);
  return { count, text: new TextDecoder().decode(buffer.subarray(1, 1 + count)), edges: [buffer[0], buffer.at(-1)] };
}

test("directories list, files read, links lead", () => {
  const { root } = mounted();
  assert.deepEqual(root.node_ops.readdir(root), [".", "..", "file", "folder", "link"]);
  assert.equal(root.node_ops.readlink(root.node_ops.lookup(root, "link")), "file");
  assert.throws(() => root.node_ops.lookup(root, "absent"), errno(44));
});

test("a read gathers the pieces, stops at the end, and stays within its part of the buffer", () => {
  const { root } = mounted();
  const file = root.node_ops.lookup(root, "file");
  assert.deepEqual(read(file, 7, 1), { count: 7, text: "1234567", edges: [0, 0] });
  assert.deepEqual(read(file, 100, 8).text, "89");
  assert.equal(read(file, 5, 10).count, 0);
  assert.equal(read(file, 5, 1000).count, 0);
});

test("everything has the same owner, time and modes without the right to write", () => {
  const { root } = mounted();
  const file = root.node_ops.lookup(root, "file");
  const { mode, size, uid, mtime, dev } = file.node_ops.getattr(file);
  assert.deepEqual([mode, size, uid, mtime.getTime(), dev], [0o100444, 10, 0, FILE_TIME_MS, 2]);
});

test("nothing can be changed", () => {
  const { root } = mounted();
  const file = root.node_ops.lookup(root, "file");
  for (const change of ["setattr", "mknod", "rename", "unlink", "rmdir", "symlink"]) {
    assert.throws(() => root.node_ops[change](root, "x"), errno(69), change);
  }
  assert.throws(() => file.stream_ops.write(), errno(69));
  assert.throws(() => file.stream_ops.open({ node: root, flags: 1 }), errno(31));
});

test("seeking knows three origins and refuses what is before the start", () => {
  const { root } = mounted();
  const file = root.node_ops.lookup(root, "file");
  const seek = (offset, whence) => file.stream_ops.llseek({ node: file, position: 4 }, offset, whence);
  assert.deepEqual([seek(3, 0), seek(3, 1), seek(-3, 2)], [3, 7, 7]);
  assert.throws(() => seek(-5, 1), errno(28));
});

test("a provider that fails is reported beside the exception, since Python might catch that", () => {
  const broken = {
    ...provider,
    list() {
      throw new Error("the block is gone");
    },
    read: () => new Uint8Array(0),
  };
  const { root, failures } = mounted(broken);
  assert.throws(() => root.node_ops.readdir(root), /the block is gone/);
  assert.throws(() => read(root.node_ops.lookup(root, "file"), 5, 0), /ends before its size/);
  assert.equal(failures.length, 2);
});

test("a missing name is no failure", () => {
  const { root, failures } = mounted();
  assert.throws(() => root.node_ops.lookup(root, "absent"));
  assert.deepEqual(failures, []);
});

test("a single file can be put into the guest's own tree", () => {
  const { Module, fs } = mounted();
  fs.attachFile("/run/data", { kind: "file", size: 10, handle: "f", target: null });
  assert.equal(read(Module.FS.root.contents.data, 10, 0).text, "0123456789");
});
