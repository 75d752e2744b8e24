import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { boundDisk, boundPipes } from "../../../js_host/disk.mjs";
import { ErrnoError } from "./fake_fs.mjs";

const LIMIT = 10_000;
const NODE = 1024;
const DIRECTORY = 0o40000;
let root, dir, file, link, streams;

beforeEach(() => {
  root = { mode: DIRECTORY, contents: { home: { mode: DIRECTORY, contents: {} } } };
  streams = [];
  const setattr = (node, attributes) => Object.assign(node, attributes);
  const MEMFS = {
    ops_table: {
      dir: {
        node: {
          mknod: (parent, name, mode) => (parent.contents[name] = { mode, usedBytes: 0, contents: {} }),
          rename(node, parent, name) {
            for (const old of Object.keys(parent.contents)) if (parent.contents[old] === node) delete parent.contents[old];
            parent.contents[name] = node;
          },
          symlink: (parent, name, target) => (parent.contents[name] = { link: target }),
          unlink: (parent, name) => delete parent.contents[name],
          rmdir: (parent, name) => delete parent.contents[name],
          setattr,
        },
      },
      file: {
        node: { setattr: (node, { size }) => (node.usedBytes = size ?? node.usedBytes) },
        stream: {
          write: (stream, _buffer, _offset, length, position) =>
            (stream.node.usedBytes = Math.max(stream.node.usedBytes, position + length)),
        },
      },
      link: { node: { setattr } },
    },
  };
  const FS = { ErrnoError, streams, root, isDir: (mode) => mode === DIRECTORY, isMountpoint: () => false };
  boundDisk({ FS, MEMFS }, { memoryLimit: LIMIT, diskUsed: 0 });
  ({ dir, file, link } = { dir: MEMFS.ops_table.dir.node, file: MEMFS.ops_table.file, link: MEMFS.ops_table.link.node });
});

const make = (name) => dir.mknod(root, name, 0, 0);
const makeDirectory = (parent, name) => dir.mknod(parent, name, DIRECTORY, 0);
const write = (node, length, position = 0) => file.stream.write({ node }, null, 0, length, position);
const isFull = (error) => error.errno === 51;

test("every name is an entry, on every engine", () => {
  for (const directory of [root, root.contents.home, makeDirectory(root, "new")]) {
    const node = makeDirectory(directory, "__proto__");
    assert.equal(directory.contents["__proto__"], node);
    assert.ok(dir.readdir(directory).includes("__proto__"));
    dir.rmdir(directory, "__proto__");
    assert.ok(!dir.readdir(directory).includes("__proto__"));
  }
});

test("the limit holds to the byte", () => {
  const node = make("a");
  write(node, LIMIT - NODE);
  assert.throws(() => write(node, 1, LIMIT - NODE), isFull);
  write(node, 1, 0); // within the file: nothing grows
  assert.throws(() => make("b"), isFull);
});

test("a write far beyond the end and a truncation upwards are charged", () => {
  const node = make("a");
  assert.throws(() => write(node, 1, LIMIT), isFull);
  assert.throws(() => file.node.setattr(node, { size: LIMIT }), isFull);
  file.node.setattr(node, { mode: 0o600 });
  assert.equal(node.usedBytes, 0);
});

test("a time that no date can be is refused, whatever it is of", () => {
  for (const ops of [dir, link]) {
    const node = {};
    ops.setattr(node, { atime: -8.64e15, mtime: 8.64e15 });
    for (const times of [{ atime: 8.65e15 }, { atime: 0, mtime: -8.65e15 }]) {
      assert.throws(() => ops.setattr(node, times), (error) => error.errno === 28);
    }
    assert.deepEqual(node, { atime: -8.64e15, mtime: 8.64e15 });
  }
  assert.throws(() => file.node.setattr(make("a"), { mtime: 8.65e15 }), (error) => error.errno === 28);
});

test("what is removed, shortened or replaced gives its room back", () => {
  const fill = (name) => write(make(name), LIMIT - 2 * NODE - 1000);
  fill("a");
  dir.unlink(root, "a");
  fill("b");
  file.node.setattr(root.contents.b, { size: 0 });
  dir.unlink(root, "b");
  fill("c");
  dir.rename(make("d"), root, "c");
  fill("e");
});

test("an open file keeps its room when its name goes", () => {
  const node = make("a");
  write(node, LIMIT - NODE);
  streams.push({ node });
  dir.unlink(root, "a");
  assert.throws(() => make("b"), isFull);
});

test("renaming a file to its own name frees nothing", () => {
  const node = make("a");
  write(node, LIMIT - NODE);
  dir.rename(node, root, "a");
  assert.throws(() => make("b"), isFull);
});

test("listings are in UTF-8 order", () => {
  for (const name of ["b", "home", "\u{1F600}", "a", "\uFF5E"]) make(name);
  assert.deepEqual(dir.readdir(root), [".", "..", "a", "b", "home", "\uFF5E", "\u{1F600}"]);
});

test("links are charged with their targets", () => {
  assert.throws(() => dir.symlink(root, "a", "x".repeat(LIMIT / 2)), isFull);
  dir.symlink(root, "b", "x".repeat((LIMIT - NODE) / 2));
  assert.throws(() => dir.symlink(root, "c", ""), isFull);
  dir.unlink(root, "b");
  dir.symlink(root, "c", "");
});

test("a pipe takes 64 KiB, then nothing until it is read", () => {
  const node = { pipe: { buckets: [] } };
  const PIPEFS = {
    stream_ops: {
      write: (stream, _buffer, _offset, length) => {
        stream.node.pipe.buckets.push({ offset: length, roffset: 0 });
        return length;
      },
    },
  };
  boundPipes({ FS: { ErrnoError }, PIPEFS });
  const pipe = (length) => PIPEFS.stream_ops.write({ node }, null, 0, length);
  assert.equal(pipe(65_000), 65_000);
  assert.equal(pipe(1000), 536);
  assert.throws(() => pipe(1), (error) => error.errno === 6);
  assert.equal(pipe(0), 0);
  node.pipe.buckets[0].roffset = 10;
  assert.equal(pipe(1000), 10);
});
