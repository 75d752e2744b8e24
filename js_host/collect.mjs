// Phase 5: send what the task left behind: stdout, stderr, result and the output directories.
//
// Paths in frames are relative to the output directory y. Symbolic links are kept if they stay inside the output they
// are in, and anything that is neither file, directory nor such a link is left out: it has no content. Whatever the
// function did to its directories is an outcome; nothing that it can make may fail here.

import { LimitExceeded, OUTPUT_EXCEEDED } from "./devices.mjs";

const PIECE_BYTES = 1 << 20;

/** Most files and directories that one task may put out. */
const MAX_ENTRIES = 100_000;

/** Deepest path below y and longest name: what content-addressed directories of this project hold, with room to spare. */
const MAX_DEPTH = 100;
const MAX_NAME_BYTES = 255;

const encoder = new TextEncoder();

/**
 * Send all outputs and return the exit code: the task's own, or 153 if its outputs are larger than the limits.
 *
 * A task that exceeds a limit keeps its streams (cut at the limit) and loses its result and files: a cut file would
 * pass for a whole one.
 */
export function collectOutputs(Module, { parent, world, outputs }) {
  const { FS } = Module;
  FS.ignorePermissions = true; // what the function locked with chmod is an output all the same
  const { stdout, stderr, outcome } = world;
  const entries = outcome.exitCode === OUTPUT_EXCEEDED ? [] : listAll(FS, { world, outputs });
  sendPieces(parent, "stdout", stdout.pieces);
  sendPieces(parent, "stderr", stderr.pieces);
  sendPieces(parent, "result", outcome.exitCode === 0 ? outcome.result.pieces : []);
  for (const entry of entries) sendEntry(FS, parent, entry);
  for (const { name } of outputs) {
    const path = `outputs/${name}`;
    if (!entries.some((entry) => entry.to === path)) parent.send({ type: "directory", path });
  }
  return outcome.exitCode;
}

/** List every output, or end the outcome with 153 and list nothing. */
function listAll(FS, { world, outputs }) {
  const found = [];
  try {
    for (const { name, path } of outputs) {
      if (FS.analyzePath(path, true).exists) list(FS, path, `outputs/${name}`, world.meter, found);
    }
  } catch (error) {
    if (!(error instanceof LimitExceeded)) throw error;
    world.outcome.endWith(error.exitCode);
    found.length = 0;
  }
  return found;
}

/** List a tree depth first, names in UTF-8 order, and count it against the limits. */
function list(FS, path, to, meter, found) {
  const { mode, size } = FS.lstat(path);
  checkPath(to, found.length);
  if (FS.isDir(mode)) {
    found.push({ kind: "directory", path, to });
    for (const name of FS.readdir(path)) {
      if (name !== "." && name !== "..") list(FS, `${path}/${name}`, `${to}/${name}`, meter, found);
    }
  } else if (FS.isFile(mode)) {
    meter.take(size);
    found.push({ kind: "file", path, to });
  } else if (FS.isLink(mode)) {
    const target = FS.readlink(path);
    if (!staysInside(to, target)) return;
    meter.take(encoder.encode(target).length);
    found.push({ kind: "symlink", path, to, target });
  }
}

function checkPath(to, count) {
  const names = to.split("/");
  const name = encoder.encode(names.at(-1));
  if (count >= MAX_ENTRIES || names.length > MAX_DEPTH || name.length > MAX_NAME_BYTES) {
    throw new LimitExceeded("output tree", OUTPUT_EXCEEDED);
  }
}

/**
 * Tell whether a link at output path `to` leads to a place in the same output (`outputs/<name>`).
 *
 * `..` is allowed at the beginning only: the link's own directories are real, so counting them is exact; after the name
 * of another link it would count from wherever that leads. Export has the same rule (storage/unixfs_export.py).
 */
function staysInside(to, target) {
  const parts = target.split("/");
  const down = parts.findIndex((part) => part !== "..");
  const ups = down < 0 ? parts.length : down;
  const isRelative = target !== "" && !target.startsWith("/");
  return isRelative && ups <= to.split("/").length - 3 && !parts.slice(ups).includes("..");
}

function sendEntry(FS, parent, { kind, path, to, target }) {
  if (kind === "directory") parent.send({ type: "directory", path: to });
  else if (kind === "symlink") parent.send({ type: "symlink", path: to, target });
  else sendPieces(parent, to, [contentOf(FS, path)]);
}

/** A file's bytes where they are, without a copy if it is the guest's own. */
function contentOf(FS, path) {
  const { node } = FS.lookupPath(path);
  return node.contents instanceof Uint8Array ? node.contents.subarray(0, node.usedBytes) : FS.readFile(path);
}

function sendPieces(parent, path, pieces) {
  parent.send({ type: "file", path });
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; at += PIECE_BYTES) {
      parent.send({ type: "piece" }, piece.subarray(at, at + PIECE_BYTES));
    }
  }
  parent.send({ type: "end" });
}
