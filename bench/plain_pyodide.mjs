// What the 2022 proof of concept did, as a yardstick: load Pyodide as it comes, install the wheels, run the code.
// Usage: node plain_pyodide.mjs PYODIDE_DIR CODE_FILE [WHEEL…]

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [packageDir, codeFile, ...wheels] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${packageDir}/pyodide.mjs`).href);
const python = await loadPyodide({ indexURL: packageDir });
for (const wheel of wheels) python.unpackArchive(new Uint8Array(readFileSync(wheel)), "wheel");
python.runPython(readFileSync(codeFile, "utf8"));
