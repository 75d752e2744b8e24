// One execution of one task: the program that Node runs.
//
// Speaks frames (frames.mjs) with its parent over the two descriptors named by its arguments (in, out). Order:
//   parent: start {…}         worker: phase* | lookup, list, read* (each answered) | file, piece* | done {…}
// Assumes that it was handed only what the task may see. Never opens a path after the modules are loaded.

import { Clock } from "./clock.mjs";
import { collectOutputs } from "./collect.mjs";
import { Collected, LimitExceeded, Outcome, OUTPUT_EXCEEDED, OutputMeter } from "./devices.mjs";
import { EntropyStream } from "./entropy.mjs";
import { Parent } from "./frames.mjs";
import { Gate } from "./gate.mjs";
import { GuestExit } from "./imports.mjs";
import { handedFs } from "./handed_fs.mjs";
import { exitProcess, hostMilliseconds, processArguments, readExactly, sha256 } from "./host.mjs";
import { admitOnly } from "./instrument/admission.mjs";
import { FULL_TANK } from "./instrument/section_writers.mjs";
import { lockDown } from "./lockdown.mjs";
import { RemoteTree } from "./remote_tree.mjs";
import { bootPython } from "./boot.mjs";
import { stateDigest } from "./state_digest.mjs";
import { WheelTree } from "./wheel_tree.mjs";

const parent = new Parent(Number(processArguments[0]), Number(processArguments[1]));

/** Where the function may write, beside its outputs. */
const WRITABLE = new Set(["/work", "/tmp"]);

/** Exit code of a WebAssembly trap (out-of-bounds access and the like): the shell's code for SIGSEGV. */
const TRAPPED = 139;

/** Exit code of a task that has spent its fuel (function contract). */
const OUT_OF_FUEL = 152;

/** Exit code where not even our handlers survived what the function did to its interpreter: like any exception. */
const BROKEN = 1;

const EROFS = 69;

const fromHex = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

/** Everything a task can read of, or write to, outside its memory. */
function makeWorld(start) {
  const meter = new OutputMeter(start.limits.output);
  const world = {
    clock: new Clock(),
    meter,
    // The stream that Python boots on is the same for every task; the task's own begins with the task.
    entropy: new EntropyStream(new Uint8Array(32)),
    gate: new Gate(),
    memoryLimit: start.limits.memory,
    stdout: new Collected(meter),
    stderr: new Collected(meter),
    outcome: new Outcome(meter),
    /** The first failure of the host while the guest ran: whatever the guest made of it, there is no outcome. */
    hostFailure: null,
    /** The fuel meter, from when the main module is instantiated. */
    fuel: null,
    onFailure(error) {
      world.hostFailure ??= error;
    },
  };
  return world;
}

function mountAll(Module, start, world) {
  const { FS } = Module;
  const wheels = new WheelTree(start.wheel_members);
  handedFs(Module, wheels, world.onFailure).mountDirectory(Module.API.sitePackages, wheels.root);
  const remote = handedFs(Module, new RemoteTree(parent), world.onFailure);
  for (const { path, handle, kind, size } of start.mounts) {
    if (kind === "directory") remote.mountDirectory(path, handle);
    else remote.attachFile(path, { kind, size, handle, target: null });
  }
  for (const { path } of start.outputs) FS.mkdirTree(path);
  if (!FS.analyzePath("/run/data").exists) FS.writeFile("/run/data", "");
  FS.writeFile("/run/task.json", start.guest);
  seal(FS, FS.root, "/", new Set([...WRITABLE, ...start.outputs.map(({ path }) => path)]));
}

/** Take the right to write from the guest's own tree but for the writable directories, and the right to give it back. */
function seal(FS, directory, path, writable) {
  if (writable.has(path)) return;
  keepMode(FS, directory);
  for (const [name, node] of Object.entries(directory.contents)) {
    if (FS.isMountpoint(node)) continue;
    if (FS.isDir(node.mode)) seal(FS, node, path === "/" ? `/${name}` : `${path}/${name}`, writable);
    else if (FS.isFile(node.mode)) keepMode(FS, node);
  }
}

/** Make a directory or file read-only, for its owner too: permissions are all that the glue checks. */
function keepMode(FS, node) {
  node.mode = (node.mode & ~0o7777) | (FS.isDir(node.mode) ? 0o555 : 0o444);
  node.node_ops = {
    ...node.node_ops,
    setattr() {
      throw new FS.ErrnoError(EROFS);
    },
  };
}

function runPython(Module, code) {
  return Module._PyRun_SimpleString(Module.stringToNewUTF8(code));
}

/** Import the guest's main, seal Python and close the gate. A failure here is the runtime's own. */
function prepareGuest(Module, world) {
  const failed = runPython(Module, "__import__('_faas_main').prepare()") !== 0;
  if (failed) throw new Error(`the guest's main failed: ${world.stderr.text()}`);
  world.gate.close();
}

/** Run the task. Whatever the function does is an outcome; host trouble is thrown. */
function runGuest(Module, world) {
  const { outcome } = world;
  try {
    if (runPython(Module, "__import__('_faas_main').run()") !== 0) outcome.endWith(BROKEN);
  } catch (error) {
    if (error instanceof LimitExceeded || error instanceof GuestExit) outcome.endWith(error.exitCode);
    // A TypeError is the glue's, over numbers that ctypes or compiled code made up: as repeatable as a trap.
    else if (error instanceof WebAssembly.RuntimeError || error instanceof TypeError) outcome.endWith(TRAPPED);
    else throw error;
  }
  // Compiled code can catch what was thrown, and JavaScript on the way of a trap make something else of it; the meters
  // know.
  if (world.meter.isExceeded) outcome.endWith(OUTPUT_EXCEEDED);
  if (world.fuel.isExhausted) outcome.endWith(OUT_OF_FUEL);
  if (world.hostFailure !== null) throw world.hostFailure;
}

async function main() {
  const started = hostMilliseconds();
  const { header: start } = parent.receive();
  const timings = {};
  const phase = (name) => {
    timings[name] = hostMilliseconds() - started;
    parent.send({ type: "phase", name });
  };

  const world = makeWorld(start);
  world.clock.reset(start.epoch);
  const createModule = (await import(start.runtime.glue)).default;
  const wasm = new WebAssembly.Module(readExactly(start.runtime.wasm.fd, start.runtime.wasm.size, 0));
  const stdlib = readExactly(start.runtime.stdlib.fd, start.runtime.stdlib.size, 0);
  const glueEntropy = new EntropyStream(new Uint8Array(32));
  lockDown(world.clock, (bytes) => glueEntropy.fill(bytes), (text) => parent.send({ type: "log", text }));

  phase("boot");
  const { guest } = start.runtime;
  const Module = await bootPython({ createModule, wasm, stdlib, guest, world });
  admitOnly(WebAssembly, start.side_modules, (bytes) => sha256().update(bytes).digest("hex"));
  prepareGuest(Module, world);
  mountAll(Module, start, world);

  phase("run");
  world.clock.reset(start.epoch);
  world.entropy.reset(fromHex(start.entropy_key));
  world.fuel.fill(start.limits.fuel ?? FULL_TANK);
  runGuest(Module, world);
  const fuel = world.fuel.spent;

  phase("collect");
  const exitCode = collectOutputs(Module, { parent, world, outputs: start.outputs });
  const digest = stateDigest(Module.HEAPU8);
  timings.done = hostMilliseconds() - started;
  const memory = Module.HEAPU8.length;
  parent.send({ type: "done", exit_code: exitCode, fuel, state_digest: digest, memory_bytes: memory, timings_ms: timings });
}

try {
  await main();
  exitProcess(0);
} catch (error) {
  parent.send({ type: "failed", message: describe(error).slice(0, 4000) });
  exitProcess(70);
}

/** Text for a host-side failure; Emscripten throws some plain objects. */
function describe(error) {
  return String(error?.stack ?? `${error?.name ?? "error"} ${error?.message ?? ""} ${error?.errno ?? ""}`);
}
