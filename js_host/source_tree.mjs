// The function's own directory, kept by the worker: a provider for handed_fs.mjs.

import { fromHex } from "./hex.mjs";
import { PathTree } from "./path_tree.mjs";

export class SourceTree extends PathTree {
  /** @param {Array<[path, kind, text]>} entries parents first; text: content in hex, or a link's target */
  constructor(entries) {
    super();
    for (const [path, kind, text] of entries) this.add(path, entryOf(kind, text));
    this.sort();
  }

  read(file, position, length) {
    return file.bytes.subarray(position, position + length);
  }
}

function entryOf(kind, text) {
  if (kind === "directory") return undefined;
  if (kind === "symlink") return { kind, size: new TextEncoder().encode(text).length, target: text };
  const bytes = fromHex(text);
  return { kind, size: bytes.length, target: null, bytes };
}
