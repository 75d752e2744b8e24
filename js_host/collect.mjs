// Phase 5: send what the task left behind: stdout, stderr, result and the output directories.
//
// Paths in frames are relative to the output directory y. Symbolic links are kept if they stay inside the output they
// are in, and anything that is neither file, directory nor such a link is left out: it has no content.

import { LimitExceeded } from "./devices.mjs";

const PIECE_BYTES = 1 << 20;

/** Most files and directories that one task may put out. */
const MAX_ENTRIES = 100_000;

/**
 * Send all outputs and return the exit code: the task's own, or 153 if its outputs are larger than the limit.
 *
 * A task that exceeds the limit keeps its streams (cut at the limit) and loses its result and files: a cut file would
 * pass for a whole one.
 */
export function collectOutputs(Module, { parent, world, exitCode, outputs }) {
  const { FS } = Module;
  let code = exitCode;
  const files = [];
  if (code !== 153) {
    try {
      if (FS.analyzePath("/run/result").exists) files.push(...list(FS, "/run/result", "result", world.meter));
      for (const { name, path } of outputs) files.push(...list(FS, path, `outputs/${name}`, world.meter));
    } catch (error) {
      if (!(error instanceof LimitExceeded)) throw error;
      code = error.exitCode;
      files.length = 0;
    }
  }
  sendPieces(parent, "stdout", world.stdout.pieces);
  sendPieces(parent, "stderr", world.stderr.pieces);
  for (const file of files) sendEntry(FS, parent, file);
  return code;
}

/** List a tree depth first, names in UTF-8 order, and count it against the limit. */
function list(FS, path, to, meter, found = []) {
  const { mode, size } = FS.lstat(path);
  if (found.length >= MAX_ENTRIES) throw new LimitExceeded("number of output files", 153);
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
    if (staysInside(to, target)) found.push({ kind: "symlink", path, to, target });
  }
  return found;
}

/** Tell whether a link at output path `to` leads to a place in the same output (`result` or `outputs/<name>`). */
function staysInside(to, target) {
  if (target.startsWith("/")) return false;
  const top = to.startsWith("outputs/") ? 2 : 1;
  const at = to.split("/").slice(0, -1);
  for (const part of target.split("/")) {
    if (part === "..") at.pop();
    else if (part !== "." && part !== "") at.push(part);
    if (at.length < top) return false;
  }
  return true;
}

function sendEntry(FS, parent, { kind, path, to, target }) {
  if (kind === "directory") parent.send({ type: "directory", path: to });
  else if (kind === "symlink") parent.send({ type: "symlink", path: to, target });
  else sendPieces(parent, to, [FS.readFile(path)]);
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
