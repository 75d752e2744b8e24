// One execution of one task: the program that Node runs.
//
// Speaks frames (frames.mjs) with its parent over the two descriptors named by its arguments (in, out). Order:
//   parent: start {…}         worker: phase* | lookup, list, read* (each answered) | file, piece* | done {…}
// Assumes that it was handed only what the task may see. Never opens a path after the modules are loaded.

import { Clock } from "./clock.mjs";
import { collectOutputs } from "./collect.mjs";
import { Collected, LimitExceeded, OutputMeter } from "./devices.mjs";
import { EntropyStream } from "./entropy.mjs";
import { HostFailure, Parent } from "./frames.mjs";
import { GuestExit } from "./imports.mjs";
import { handedFs } from "./handed_fs.mjs";
import { exitProcess, hostMilliseconds, processArguments, readExactly } from "./host.mjs";
import { lockDown } from "./lockdown.mjs";
import { RemoteTree } from "./remote_tree.mjs";
import { bootPython } from "./boot.mjs";
import { stateDigest } from "./state_digest.mjs";
import { WheelTree } from "./wheel_tree.mjs";

const parent = new Parent(Number(processArguments[0]), Number(processArguments[1]));

/** Not writable: everything but /work, /tmp and the outputs. */
const SEALED_DIRECTORIES = ["/", "/home", "/lib", "/lib/python3.14", "/dev", "/inputs", "/proc", "/usr", "/usr/bin"];

/** Exit code of a WebAssembly trap (out-of-bounds access and the like): the shell's code for SIGSEGV. */
const TRAPPED = 139;

const fromHex = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));

/** Everything a task can read of, or write to, outside its memory. */
function makeWorld(start) {
  const clock = new Clock();
  const meter = new OutputMeter(start.limits.output);
  return {
    clock,
    meter,
    // The stream that Python boots on is the same for every task; the task's own begins with the task.
    entropy: new EntropyStream(new Uint8Array(32)),
    memoryLimit: start.limits.memory,
    stdout: new Collected(meter),
    stderr: new Collected(meter),
  };
}

function mountAll(Module, start) {
  const { FS } = Module;
  const wheels = new WheelTree(start.wheel_members);
  handedFs(Module, wheels).mountDirectory(Module.API.sitePackages, wheels.root);
  const remote = handedFs(Module, new RemoteTree(parent));
  for (const { path, handle, kind, size } of start.mounts) {
    if (kind === "directory") remote.mountDirectory(path, handle);
    else remote.attachFile(path, { kind, size, handle, target: null });
  }
  for (const { path } of start.outputs) FS.mkdirTree(path);
  for (const path of SEALED_DIRECTORIES) FS.chmod(path, 0o555);
}

/** Run the guest's main and return the exit code. Host trouble is thrown. */
function runGuest(Module, start, world) {
  const { FS } = Module;
  FS.writeFile("/run/task.json", JSON.stringify(start.guest));
  const code = Module.stringToNewUTF8("import _faas_main; _faas_main.run()");
  try {
    if (Module._PyRun_SimpleString(code) !== 0) throw new Error(`the guest's main failed: ${world.stderr.text()}`);
  } catch (error) {
    if (error instanceof LimitExceeded || error instanceof GuestExit) return error.exitCode;
    if (error instanceof WebAssembly.RuntimeError) return TRAPPED;
    throw error;
  }
  return Number(FS.readFile("/run/exit_code", { encoding: "utf8" }));
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
  const Module = await bootPython({ createModule, wasm, stdlib, guest, environment: start.environment, world });
  mountAll(Module, start);

  phase("run");
  world.clock.reset(start.epoch);
  world.entropy.reset(fromHex(start.entropy_key));
  const guestExit = runGuest(Module, start, world);

  phase("collect");
  const exitCode = collectOutputs(Module, { parent, world, exitCode: guestExit, outputs: start.outputs });
  const digest = stateDigest(Module.HEAPU8);
  timings.done = hostMilliseconds() - started;
  const memory = Module.HEAPU8.length;
  parent.send({ type: "done", exit_code: exitCode, state_digest: digest, memory_bytes: memory, timings_ms: timings });
}

try {
  await main();
  exitProcess(0);
} catch (error) {
  const kind = error instanceof HostFailure ? "host-failure" : "worker-failure";
  parent.send({ type: "failed", kind, message: describe(error).slice(0, 4000) });
  exitProcess(70);
}

/** Text for a host-side failure; Emscripten throws some plain objects. */
function describe(error) {
  return String(error?.stack ?? `${error?.name ?? "error"} ${error?.message ?? ""} ${error?.errno ?? ""}`);
}
