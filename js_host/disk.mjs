// The guest's own files live in the host's memory, outside the guest's: bound them, and list them in one order.
//
// A file is charged by its size. What does not fit is ENOSPC, an error that the function can handle, at the same byte
// everywhere; without the bound it would be the host that runs out of memory, at a place of its own.

import { sortedByUtf8 } from "./utf8_order.mjs";

const [ENOSPC, EAGAIN, EINVAL] = [51, 6, 28];

/** What a pipe holds until it is read, as on Linux. */
const PIPE_BYTES = 65536;

/** Charge of an empty file, directory or link: what its node costs the host, roughly. */
const NODE_BYTES = 1024;

/** What one character of a link's target costs in the host's strings, at most. */
const BYTES_PER_CHARACTER = 2;

/** What a Date can be from 1970, either way; the glue makes one of a file's time whenever somebody looks at the file. */
const MOST_MS = 8.64e15;

/**
 * Change the operations of Emscripten's memory file system in place.
 *
 * @param {object} Module the Emscripten module, before any file of a task is made
 * @param {object} world {memoryLimit: bytes of all files together, diskUsed: bytes}
 */
export function boundDisk(Module, world) {
  const { FS, MEMFS } = Module;
  const { dir, file, link } = MEMFS.ops_table;
  inheritNothing(FS, FS.root);

  function charge(node, bytes) {
    const growth = bytes - (node.charged ?? 0);
    if (growth > 0 && world.diskUsed + growth > world.memoryLimit) throw new FS.ErrnoError(ENOSPC);
    world.diskUsed += growth;
    node.charged = bytes;
  }

  /** Give back what a node holds, unless it is open: then its bytes are still there. */
  function release(node) {
    if (node?.charged && !FS.streams.some((stream) => stream?.node === node)) charge(node, 0);
  }

  // Order of creation is an accident of the program.
  dir.node.readdir = (node) => [".", "..", ...sortedByUtf8(Object.keys(node.contents))];

  const { mknod, rename, unlink, rmdir, symlink } = dir.node;
  dir.node.mknod = (parent, name, mode, device) => {
    if (world.diskUsed + NODE_BYTES > world.memoryLimit) throw new FS.ErrnoError(ENOSPC);
    const node = mknod(parent, name, mode, device);
    inheritNothing(FS, node);
    charge(node, NODE_BYTES);
    return node;
  };
  dir.node.symlink = (parent, name, target) => {
    const bytes = NODE_BYTES + target.length * BYTES_PER_CHARACTER;
    if (world.diskUsed + bytes > world.memoryLimit) throw new FS.ErrnoError(ENOSPC);
    const node = symlink(parent, name, target);
    charge(node, bytes);
    return node;
  };
  dir.node.rename = (node, parent, name) => {
    const replaced = parent.contents[name];
    rename(node, parent, name);
    if (replaced !== node) release(replaced);
  };
  dir.node.unlink = (parent, name) => {
    const node = parent.contents[name];
    unlink(parent, name);
    release(node);
  };
  dir.node.rmdir = (parent, name) => {
    const node = parent.contents[name];
    rmdir(parent, name);
    release(node);
  };

  const { setattr } = file.node;
  file.node.setattr = (node, attributes) => {
    if (attributes.size !== undefined) charge(node, NODE_BYTES + attributes.size);
    setattr(node, attributes);
  };
  for (const ops of [dir.node, file.node, link.node]) {
    const { setattr: setAny } = ops;
    ops.setattr = (node, attributes) => {
      const { atime, mtime } = attributes;
      if ([atime, mtime].some((time) => Math.abs(time ?? 0) > MOST_MS)) throw new FS.ErrnoError(EINVAL);
      setAny(node, attributes);
    };
  }
  const { write } = file.stream;
  file.stream.write = (stream, buffer, offset, length, position, canOwn) => {
    charge(stream.node, NODE_BYTES + Math.max(stream.node.usedBytes, position + length));
    return write(stream, buffer, offset, length, position, canOwn);
  };
}

/**
 * Keep the entries of a directory, and of those in it, where every name is an entry: the glue keeps them as properties of
 * a plain object, on which "__proto__" is none where the engine has that accessor (Node is started without it).
 */
function inheritNothing(FS, node) {
  if (!FS.isDir(node.mode) || FS.isMountpoint(node) || !node.contents) return;
  node.contents = Object.assign(Object.create(null), node.contents);
  for (const below of Object.values(node.contents)) inheritNothing(FS, below);
}

/**
 * Bound what pipes hold, in place. With nobody to read at the same time, a full pipe is an error and not a wait.
 *
 * @param {object} Module the Emscripten module
 */
export function boundPipes({ FS, PIPEFS }) {
  const ops = PIPEFS.stream_ops;
  const { write } = ops;
  ops.write = (stream, buffer, offset, length, position) => {
    const held = stream.node.pipe.buckets.reduce((sum, bucket) => sum + bucket.offset - bucket.roffset, 0);
    if (length > 0 && held >= PIPE_BYTES) throw new FS.ErrnoError(EAGAIN);
    return write(stream, buffer, offset, Math.min(length, PIPE_BYTES - held), position);
  };
}
