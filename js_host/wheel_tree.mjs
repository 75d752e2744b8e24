// The installed packages: members of wheels, read from handed-over descriptors and inflated when opened.
//
// The parent has read and checked the archives' directories (runtime/wheel_store.py); what arrives here is a list of
// members with offsets. Later wheels never overwrite earlier members: a clash is refused by the parent.

import { inflate, readExactly } from "./host.mjs";
import { PathTree } from "./path_tree.mjs";

const [STORED, DEFLATED] = [0, 8];

/** Inflated bytes kept for files that are read again: enough for the largest side module. */
const CACHE_BYTES = 64 << 20;

export class WheelTree extends PathTree {
  #cache = new Map();
  #cached = 0;

  /** @param {Array<[path, fd, offset, compressedSize, size, method]>} members paths relative to site-packages */
  constructor(members) {
    super();
    for (const [path, fd, offset, compressedSize, size, method] of members) {
      this.add(path, { kind: "file", size, target: null, fd, offset, compressedSize, method });
    }
    this.sort();
  }

  /** All bytes of a file that is read once, by its path in site-packages. */
  whole(path) {
    return load(this.find(path));
  }

  read(file, position, length) {
    return this.#contents(file).subarray(position, position + length);
  }

  #contents(file) {
    let bytes = this.#cache.get(file);
    if (bytes === undefined) {
      bytes = load(file);
      this.#cached += bytes.length;
      for (const [old, oldBytes] of this.#cache) {
        if (this.#cached <= CACHE_BYTES) break;
        this.#cache.delete(old);
        this.#cached -= oldBytes.length;
      }
      this.#cache.set(file, bytes);
    }
    return bytes;
  }
}

function load({ fd, offset, compressedSize, size, method }) {
  const bytes = readExactly(fd, compressedSize, offset);
  if (method === STORED) return bytes;
  if (method === DEFLATED) return inflate(bytes, size);
  throw new Error(`zip method ${method} is not supported`);
}
