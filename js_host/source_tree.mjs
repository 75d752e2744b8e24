// The function's own directory, kept by the worker: a provider for handed_fs.mjs.

import { fromHex } from "./hex.mjs";
import { sortedByUtf8 } from "./utf8_order.mjs";

export class SourceTree {
  root = { kind: "directory", size: 0, target: null, children: new Map() };

  /** @param {Array<[path, kind, text]>} entries parents first; text: content in hex, or a link's target */
  constructor(entries) {
    for (const [path, kind, text] of entries) {
      const parts = path.split("/");
      const name = parts.pop();
      const parent = parts.reduce((directory, part) => directory.children.get(part), this.root);
      parent.children.set(name, entryOf(kind, text));
    }
  }

  lookup(directory, name) {
    const found = directory.children.get(name);
    return found === undefined ? null : { kind: found.kind, size: found.size, handle: found, target: found.target };
  }

  list(directory) {
    return sortedByUtf8([...directory.children.keys()]);
  }

  read(file, position, length) {
    return file.bytes.subarray(position, position + length);
  }
}

function entryOf(kind, text) {
  if (kind === "directory") return { kind, size: 0, target: null, children: new Map() };
  if (kind === "symlink") return { kind, size: new TextEncoder().encode(text).length, target: text };
  const bytes = fromHex(text);
  return { kind, size: bytes.length, target: null, bytes };
}
