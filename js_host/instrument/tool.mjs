// Instruments modules for the parent: the program that Node runs before any task does.
//
// Speaks frames (../frames.mjs) over the two descriptors named by its arguments (in, out):
//   parent: instrument {output: fd, modules: [{name, kind, fd, offset, packed, size, method}]}
//   tool:   done {modules: [{name, offset, size, sha256, keeps_state, report}], skipped: [name]} | refused {name, problem}
// Reads and writes nothing but those descriptors. The instrumented modules follow each other in the output. What does
// not begin like a module (a library for another system in a wheel) is skipped: it cannot be loaded anyway.

import { Parent } from "../frames.mjs";
import { exitProcess, inflate, processArguments, readExactly, sha256, writeAll } from "../host.mjs";
import { WasmError } from "./bytes.mjs";
import { instrument } from "./instrument.mjs";

const [STORED, DEFLATED] = [0, 8];

const isModule = (bytes) => [0x00, 0x61, 0x73, 0x6d].every((byte, i) => bytes[i] === byte);

function load({ fd, offset, packed, size, method }) {
  const bytes = readExactly(fd, packed, offset);
  if (method === STORED) return bytes;
  if (method === DEFLATED) return inflate(bytes, size);
  throw new Error(`zip method ${method} is not supported`);
}

function makeValid(bytes, kind) {
  const made = instrument(bytes, { kind });
  // Types are checked by the engine alone. What it refuses now, it would refuse in the worker.
  if (!WebAssembly.validate(made.bytes)) throw new WasmError("not a valid module");
  return made;
}

function run({ output, modules }) {
  const done = { type: "done", modules: [], skipped: [] };
  let offset = 0;
  for (const source of modules) {
    const bytes = load(source);
    if (!isModule(bytes)) {
      done.skipped.push(source.name);
      continue;
    }
    try {
      const made = makeValid(bytes, source.kind);
      writeAll(output, made.bytes);
      const digest = sha256().update(made.bytes).digest("hex");
      done.modules.push({ name: source.name, offset, size: made.bytes.length, sha256: digest, keeps_state: made.report.keeps_state, report: made.report });
      offset += made.bytes.length;
    } catch (error) {
      if (!(error instanceof WasmError)) throw error;
      return { type: "refused", name: source.name, problem: error.message };
    }
  }
  return done;
}

const parent = new Parent(Number(processArguments[0]), Number(processArguments[1]));
const { header } = parent.receive();
parent.send(run(header));
exitProcess(0);
