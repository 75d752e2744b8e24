// The unsafe bound: one Pyodide that is kept and never reset, and runs a function again and again.
// Usage: node plain_pyodide_warm.mjs PYODIDE_DIR WHEELS_DIR PACKAGES CODE_FILE
//
// Frames on standard input: bytes of arguments (u32), bytes of data (u32), arguments (JSON), data.
// Frames on standard output: bytes (u32, little-endian), result (JSON). Ends when its input does.

import { openSync, readFileSync, readSync, writeSync } from "node:fs";

import { defineFunction, loadPlainPyodide } from "./plain_pyodide_load.mjs";

const [packageDir, wheelsDir, packages, codeFile] = process.argv.slice(2);
const python = await loadPlainPyodide(packageDir, wheelsDir, packages.split(",").filter(Boolean));
const call = defineFunction(python, readFileSync(codeFile, "utf8"));

// Opened anew, since Pyodide lets Node make the standard streams non-blocking.
const [input, output] = [openSync("/dev/stdin", "r"), openSync("/dev/stdout", "w")];

/** Read exactly so many bytes; null where the input ends. */
function take(size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const count = readSync(input, bytes, at, size - at);
    if (count === 0) return null;
    at += count;
  }
  return bytes;
}

function give(bytes) {
  for (let at = 0; at < bytes.length;) at += writeSync(output, bytes, at);
}

for (let head = take(8); head !== null; head = take(8)) {
  const [argsSize, dataSize] = new Uint32Array(head.buffer);
  const args = Buffer.from(take(argsSize)).toString("utf8");
  const answer = Buffer.from(call(args, take(dataSize)), "utf8");
  const size = Buffer.alloc(4);
  size.writeUInt32LE(answer.length);
  give(Buffer.concat([size, answer]));
}
