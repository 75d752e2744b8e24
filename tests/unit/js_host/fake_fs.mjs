// The little of Emscripten's file system that the modules under test touch.

export class ErrnoError extends Error {
  name = "ErrnoError";

  constructor(errno) {
    super(`errno ${errno}`);
    this.errno = errno;
  }
}

/** A Module with an FS that makes nodes and remembers mounts. */
export function fakeModule() {
  let nextId = 1;
  const root = { contents: {}, mode: 0o40777 };
  const FS = {
    ErrnoError,
    root,
    mounts: {},
    createNode: (parent, name, mode, rdev) => ({ parent, name, mode, rdev, id: nextId++ }),
    mkdirTree() {},
    mount: (type, _options, path) => (FS.mounts[path] = type.mount()),
    lookupPath: () => ({ node: root }),
  };
  return { FS, HEAP8: new Int8Array(0) };
}
