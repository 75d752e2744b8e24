// Pyodide as it comes, with packages from a folder: how the proof of concept of 2022 began, without the network.

import { pathToFileURL } from "node:url";

/** Load Pyodide and install packages, with what they depend on, whose wheels lie in a folder under their own names. */
export async function loadPlainPyodide(packageDir, wheelsDir, packages) {
  const { loadPyodide } = await import(pathToFileURL(`${packageDir}/pyodide.mjs`).href);
  const python = await loadPyodide({ indexURL: `${packageDir}/`, packageCacheDir: `${wheelsDir}/` });
  if (packages.length > 0) await python.loadPackage(packages, { messageCallback: () => {} });
  return python;
}

/** Define a function's module; returns what calls its `main` with arguments (JSON) and data (bytes). */
export function defineFunction(python, source) {
  python.runPython(source);
  return python.runPython(`
import io as _io, json as _json
def _call(arguments, data):
    return _json.dumps(main(_io.BytesIO(data.to_bytes()), **_json.loads(arguments)))
_call
`);
}
