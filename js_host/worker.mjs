// A worker: the program that Node runs. It holds one instance, and makes an image of it or runs tasks in it.
//
// Speaks frames (frames.mjs) with its parent over the two descriptors named by its arguments (in, out). Order:
//   parent: open {…}       worker: phase
//   parent: equip {…}      worker: phase*
//   to make an image       worker: image {…}, piece*: state, then memory | unfit {statement, reason}
//   to run tasks, each:
//   parent: task {…}       worker: phase* | lookup, list, read* (each answered) | resume (answered by piece*: a
//                                  checkpoint), resumed {…} | checkpoint {…}, piece* | unkept {…} | file, piece* | done {…}
//                          worker: pristine {reset_ms} | spent {reason}, and it ends; nothing if the task was the last
// Assumes that it was handed only what the tasks may see. Never opens a path after the modules are loaded.

import { bootInstance } from "./boot.mjs";
import { finish, preload, prepareGuest, UnfitStatement } from "./build.mjs";
import { Parent } from "./frames.mjs";
import { exitProcess, hostMilliseconds, processArguments, readExactly, sha256 } from "./host.mjs";
import { restoreImage } from "./image.mjs";
import { admitOnly } from "./instrument/admission.mjs";
import { LibraryLog } from "./libraries.mjs";
import { lockDown } from "./lockdown.mjs";
import { makeTree, mountWheels } from "./file_system.mjs";
import { PristineMemory, readBlocks, resetInstance } from "./pristine.mjs";
import { RuntimeFiles } from "./runtime_files.mjs";
import { SourceTree } from "./source_tree.mjs";
import { runTask } from "./task.mjs";
import { WheelTree } from "./wheel_tree.mjs";
import { World } from "./world.mjs";

const PIECE_BYTES = 1 << 20;

const parent = new Parent(Number(processArguments[0]), Number(processArguments[1]));
const began = hostMilliseconds();

/** Everything that stays the same as long as the worker lives: first the runtime, then what it is to work with. */
async function open({ header: runtime }) {
  const world = new World();
  const createModule = (await import(runtime.glue)).default;
  const wasm = new WebAssembly.Module(readExactly(runtime.wasm.fd, runtime.wasm.size, 0));
  const library = readExactly(runtime.stdlib.fd, runtime.stdlib.size, 0);
  const files = new RuntimeFiles(library, runtime.guest);
  lockDown(world.clock, (bytes) => world.glueEntropy.fill(bytes), (text) => parent.send({ type: "log", text }));

  const { starts_python: startsPython, makes_image: makesImage } = runtime;
  parent.send({ type: "phase", name: startsPython ? "boot" : "restore" });
  const instance = await bootInstance({ createModule, wasm, files, world, startsPython, makesImage });

  const { header: start, payload } = parent.receive();
  const wheels = new WheelTree(start.wheel_members);
  const source = start.source === null ? null : new SourceTree(start.source);
  const keepers = new Set(start.state_keepers);
  const compile = admitOnly(WebAssembly, start.side_modules, (bytes) => {
    const digest = sha256().update(bytes).digest("hex");
    if (keepers.has(digest)) world.keepsState = true;
    return digest;
  });
  const log = new LibraryLog(WebAssembly, world);
  let pristine = null;
  if (start.image === null) prepareGuest(instance, world);
  else pristine = restore(instance, { files, wheels, world, compile }, start.image, payload);
  return { start, world, files, wheels, source, instance, log, ...pristine };
}

/** payload: page hashes of the image, then its state. */
function restore(instance, { files, wheels, world, compile }, image, payload) {
  const hashes = payload.slice(0, image.pages_bytes);
  const { instance: state } = JSON.parse(new TextDecoder().decode(payload.subarray(image.pages_bytes)));
  const pristine = new PristineMemory(readBlocks(image.memory.fd, hashes), hashes);
  makeTree(instance.Module, files, world);
  mountWheels(instance.Module, wheels, world);
  // Python is sealed already, and the modules of the image run code when they are loaded.
  world.gate.close();
  // The modules of an image keep no state, or it could not have been made; the parent has checked where they lie.
  const compileAt = (path) => compile(wheels.whole(path.slice(instance.Module.API.sitePackages.length + 1)));
  restoreImage(instance, state, pristine, compileAt);
  return { state, pristine, compile: compileAt };
}

/** Make an image and send it. */
function build({ start, world, files, wheels, instance, log }) {
  try {
    if (start.preload.length > 0) {
      const begins = (statement) => parent.send({ type: "phase", name: "import", statement });
      preload(instance, { world, files, wheels }, start.preload, begins);
    }
    const { state, modules } = finish(instance, { world, log }, start.preload);
    const text = new TextEncoder().encode(JSON.stringify(state));
    parent.send({ type: "image", modules, memory_bytes: state.memory_bytes, state_bytes: text.length });
    sendPieces(text);
    sendPieces(instance.Module.HEAPU8);
  } catch (error) {
    if (!(error instanceof UnfitStatement)) throw error;
    parent.send({ type: "unfit", statement: error.number, reason: error.message });
  }
}

function sendPieces(bytes) {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    parent.send({ type: "piece" }, bytes.subarray(at, at + PIECE_BYTES));
  }
}

/** Run one task; tells whether there can be another. */
function serve({ world, files, wheels, source, instance, log, state, pristine, compile }, task, opened) {
  const { Module } = instance;
  const timings = { start: opened - began };
  const received = hostMilliseconds();
  const phase = (name) => {
    timings[name] = hostMilliseconds() - received;
    parent.send({ type: "phase", name });
    if (name === "collect") parent.hold();
  };
  const { exitCode, fuel, isWhole } = runTask(instance, {
    parent, world, files, wheels, source, task, state, pristine, log, compile, phase,
  });
  const [comparing, changed] = timed(() => pristine.compare(Module.HEAPU8));
  const digest = pristine.digest(Module.HEAPU8, changed);
  timings.done = hostMilliseconds() - received;
  parent.send({
    type: "done", exit_code: exitCode, fuel, state_digest: digest, memory_bytes: Module.HEAPU8.length, timings_ms: timings,
  });
  parent.release();
  if (task.is_last) return false;

  const [resetting, spent] = timed(() => (isWhole ? reset(instance, { state, world, pristine, changed }) : "Python did not return"));
  if (spent === null) parent.send({ type: "pristine", reset_ms: comparing + resetting, pages: changed.length });
  else parent.send({ type: "spent", reason: spent });
  return spent === null;
}

/** Put the instance back to its image; why that cannot be done or proven, null if it is done. */
function reset(instance, { state, world, pristine, changed }) {
  const memory = instance.Module.HEAPU8;
  if (memory.length !== state.memory_bytes) return "memory has grown";
  return resetInstance(instance, state, world) ?? (pristine.reset(memory, changed) ? null : "memory is another");
}

/** Milliseconds that something takes, and what it gives. */
function timed(act) {
  const before = hostMilliseconds();
  const given = act();
  return [hostMilliseconds() - before, given];
}

async function main() {
  const worker = await open(parent.receive());
  if (worker.start.preload !== null) {
    build(worker);
    return;
  }
  const opened = hostMilliseconds();
  for (;;) {
    const { header: task } = parent.receive();
    if (!serve(worker, task, opened)) return;
  }
}

try {
  await main();
  exitProcess(0);
} catch (error) {
  parent.send({ type: "failed", message: describe(error).slice(0, 4000) });
  parent.release(); // what was held back when it failed, and this
  exitProcess(70);
}

/** Text for a host-side failure; Emscripten throws some plain objects. */
function describe(error) {
  return String(error?.stack ?? `${error?.name ?? "error"} ${error?.message ?? ""} ${error?.errno ?? ""}`);
}
