// A tree of files that is known beforehand: what providers for handed_fs.mjs have in common.

import { sortedByUtf8 } from "./utf8_order.mjs";

const newDirectory = () => ({ kind: "directory", size: 0, target: null, children: new Map() });

export class PathTree {
  root = newDirectory();

  /**
   * Put something in its place; directories on the way are made.
   *
   * @param {string} path relative to the root
   * @param {object} [entry] {kind, size, target} and what reading it needs; a directory without
   */
  add(path, entry = newDirectory()) {
    const parts = path.split("/");
    const name = parts.pop();
    let directory = this.root;
    for (const part of parts) {
      if (!directory.children.has(part)) directory.children.set(part, newDirectory());
      directory = directory.children.get(part);
    }
    directory.children.set(name, entry);
  }

  /** Give every directory its listing order, once all is there. */
  sort(directory = this.root) {
    const { children } = directory;
    directory.children = new Map(sortedByUtf8([...children.keys()]).map((name) => [name, children.get(name)]));
    for (const child of directory.children.values()) if (child.children) this.sort(child);
  }

  /** The entry at a path that is relative to the root; undefined if there is none. */
  find(path) {
    return path.split("/").reduce((directory, name) => directory?.children?.get(name), this.root);
  }

  lookup(directory, name) {
    const handle = directory.children.get(name);
    if (handle === undefined) return null;
    return { kind: handle.kind, size: handle.size, handle, target: handle.target };
  }

  list(directory) {
    return [...directory.children.keys()];
  }
}
