// A read-only Emscripten file system over a tree that somebody else serves ("handed over").
//
// A provider answers three questions and is the only thing that differs between mounts:
//   lookup(handle, name) -> Entry or null      list(handle) -> names, sorted by UTF-8 bytes
//   read(handle, position, length) -> Uint8Array of at most `length` bytes, empty only at the end of the file
// Entry: {kind: "file" | "directory" | "symlink", size, handle, target}. Nothing is copied into guest memory until
// the guest reads it.
//
// When a provider fails, the host has failed, not the function: the failure is reported beside being thrown, because
// some of the glue (its loader of side modules) turns every exception into one that Python can catch.

const [ENOENT, EISDIR, EINVAL, ENODEV, ENOMEM, EROFS] = [44, 31, 28, 43, 48, 69];

const MODES = { file: 0o100444, directory: 0o040555, symlink: 0o120777 };

/** Every file handed over carries this time, 1980-01-01T00:00:00Z: the earliest that zip archives can express. */
export const FILE_TIME_MS = 315_532_800_000;

/**
 * @param {object} Module the Emscripten module
 * @param {object} provider see above
 * @param {(error: Error) => void} onFailure told about every failure of the provider
 * @returns {{mountDirectory: Function, attachFile: Function}} ways to put the provider's things into the guest's tree
 */
export function handedFs(Module, provider, onFailure) {
  const { FS } = Module;
  const asked = (question) => {
    try {
      return question();
    } catch (error) {
      onFailure(error);
      throw error;
    }
  };
  const refuse = () => {
    throw new FS.ErrnoError(EROFS);
  };

  function makeNode(parent, name, entry) {
    const node = FS.createNode(parent, name, MODES[entry.kind], 0);
    node.entry = entry;
    node.node_ops = nodeOps;
    node.stream_ops = streamOps;
    node.atime = node.mtime = node.ctime = FILE_TIME_MS;
    return node;
  }

  const nodeOps = {
    getattr(node) {
      const time = new Date(FILE_TIME_MS);
      const size = node.entry.kind === "directory" ? 4096 : node.entry.size;
      return {
        dev: 2, ino: node.id, mode: node.mode, nlink: 1, uid: 0, gid: 0, rdev: 0, size,
        atime: time, mtime: time, ctime: time, blksize: 4096, blocks: Math.ceil(size / 512),
      };
    },
    setattr: refuse,
    lookup(parent, name) {
      const entry = asked(() => provider.lookup(parent.entry.handle, name));
      if (entry === null) throw new FS.ErrnoError(ENOENT);
      return makeNode(parent, name, entry);
    },
    mknod: refuse,
    rename: refuse,
    unlink: refuse,
    rmdir: refuse,
    symlink: refuse,
    readdir: (node) => [".", "..", ...asked(() => provider.list(node.entry.handle))],
    readlink: (node) => node.entry.target,
  };

  const streamOps = {
    open(stream) {
      if (stream.node.entry.kind !== "file" && (stream.flags & 3) !== 0) throw new FS.ErrnoError(EISDIR);
    },
    read(stream, buffer, offset, length, position) {
      const { size, handle } = stream.node.entry;
      const target = new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length);
      const wanted = Math.max(0, Math.min(length, size - position));
      asked(() => {
        for (let done = 0; done < wanted; ) {
          const bytes = provider.read(handle, position + done, wanted - done);
          if (bytes.length === 0) throw new Error("a handed-over file ends before its size");
          target.set(bytes, done);
          done += bytes.length;
        }
      });
      return wanted;
    },
    write: refuse,
    llseek(stream, offset, whence) {
      const from = whence === 1 ? stream.position : whence === 2 ? stream.node.entry.size : 0;
      if (from + offset < 0) throw new FS.ErrnoError(EINVAL);
      return from + offset;
    },
    mmap(stream, length, position, _prot, _flags) {
      if (stream.node.entry.kind !== "file") throw new FS.ErrnoError(ENODEV);
      const ptr = Module.mmapAlloc(length);
      if (!ptr) throw new FS.ErrnoError(ENOMEM);
      streamOps.read(stream, Module.HEAP8, ptr, length, position);
      return { ptr, allocated: true };
    },
    msync: () => 0,
  };

  return {
    /** Mount the directory `handle` at `path`. */
    mountDirectory(path, handle) {
      FS.mkdirTree(path);
      const type = { mount: () => makeNode(null, "/", { kind: "directory", size: 0, handle, target: null }) };
      FS.mount(type, {}, path);
    },
    /** Put a single file at `path`, in a directory of the guest's own memory file system. */
    attachFile(path, entry) {
      const slash = path.lastIndexOf("/");
      FS.mkdirTree(path.slice(0, slash) || "/");
      const directory = FS.lookupPath(path.slice(0, slash) || "/").node;
      const name = path.slice(slash + 1);
      directory.contents[name] = makeNode(directory, name, entry);
    },
  };
}
