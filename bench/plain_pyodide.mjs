// What the proof of concept of 2022 did for each job, as a yardstick: load Pyodide as it comes, install, run.
// Usage: node plain_pyodide.mjs PYODIDE_DIR WHEELS_DIR PACKAGES CODE_FILE [ARGUMENTS [DATA_FILE]]
//
// PACKAGES: names with commas between, or "". With ARGUMENTS (JSON) the code is a function, whose result is printed.

import { readFileSync } from "node:fs";

import { defineFunction, loadPlainPyodide } from "./plain_pyodide_load.mjs";

const [packageDir, wheelsDir, packages, codeFile, args, dataFile] = process.argv.slice(2);
const python = await loadPlainPyodide(packageDir, wheelsDir, packages.split(",").filter(Boolean));
const code = readFileSync(codeFile, "utf8");
if (args === undefined) {
  python.runPython(code);
} else {
  const data = dataFile === undefined ? new Uint8Array() : new Uint8Array(readFileSync(dataFile));
  console.log(defineFunction(python, code)(args, data));
}
