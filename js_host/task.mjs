// Phase 5: run one task in an instance that stands where its image was made.

import { Checkpoints } from "./checkpoint.mjs";
import { collectOutputs } from "./collect.mjs";
import { LimitExceeded, OUTPUT_EXCEEDED } from "./devices.mjs";
import { makeTree, mountSource, mountTask, mountWheels, placeFiles, sealTree } from "./file_system.mjs";
import { fromHex } from "./hex.mjs";
import { GuestExit } from "./imports.mjs";
import { FULL_TANK } from "./instrument/section_writers.mjs";
import { RemoteTree } from "./remote_tree.mjs";
import { SourceTrace } from "./source_trace.mjs";

/** Exit code of a WebAssembly trap (out-of-bounds access and the like): the shell's code for SIGSEGV. */
const TRAPPED = 139;

/** Exit code of a task that has spent its fuel (function contract). */
const OUT_OF_FUEL = 152;

/** Exit code where not even our handlers survived what the function did to its interpreter: like any exception. */
const BROKEN = 1;

/** What the guest is called with: to begin, and for every step after the first. */
const [RUN, STEP] = ["run", "step"].map((name) => `__import__('_faas_main').${name}()`);

/** Run Python code that cannot fail but by the guest's doing; 0 unless an exception left it. */
export function runPython(Module, code) {
  return Module._PyRun_SimpleString(Module.stringToNewUTF8(code));
}

/** Lay out everything that the guest can reach, as at the beginning of every run. */
export function layOut(instance, { files, wheels, source, world, task, remote, placed }) {
  const { Module } = instance;
  makeTree(Module, files, world);
  mountWheels(Module, wheels, world);
  if (source !== null) mountSource(Module, source, world);
  mountTask(Module, task, remote, world);
  placeFiles(Module, placed);
  sealTree(Module, task.outputs);
}

/**
 * Run a task and send what it leaves behind.
 *
 * @param {import("./boot.mjs").Instance} instance
 * @param {object} parts {parent, world, files, wheels, source: null if a mount, task: the frame, state: of the image,
 *   pristine: its memory, log: of modules that are loaded, compile: one of them by its path, phase: told names}
 * @returns {{exitCode: number, fuel: number, isWhole: boolean}} isWhole: Python returned, whatever the outcome
 */
export function runTask(instance, { parent, world, files, wheels, source, task, state, pristine, log, compile, phase }) {
  const { Module } = instance;
  const key = fromHex(task.entropy_key);
  world.begin({ epoch: task.epoch, memory: task.limits.memory, output: task.limits.output, key });
  const trace = source === null ? null : new SourceTrace(source);
  layOut(instance, { files, wheels, source: trace, world, task, remote: new RemoteTree(parent), placed: state.files });

  phase("run");
  // The clock has not moved and no entropy was drawn: the tree is made of neither.
  const limit = task.limits.fuel ?? FULL_TANK;
  world.fuel.fill(limit);
  const isKept = Boolean(task.checkpoints) && trace !== null;
  const parts = { instance, parent, world, pristine, image: state, trace, log, compile, fuel: limit };
  const isWhole = runGuest(Module, world, isKept ? new Checkpoints(parts, task.checkpoints) : null);
  const fuel = world.fuel.spent;

  phase("collect");
  const exitCode = collectOutputs(Module, { parent, world, outputs: task.outputs });
  return { exitCode, fuel, isWhole };
}

/** The exit code that an exception which ended the guest's run stands for; null if the host has failed. */
export function exitCodeOf(error) {
  if (error instanceof LimitExceeded || error instanceof GuestExit) return error.exitCode;
  // A TypeError is the glue's, over numbers that ctypes or compiled code made up: as repeatable as a trap.
  return error instanceof WebAssembly.RuntimeError || error instanceof TypeError ? TRAPPED : null;
}

/** Run the guest's main, step by step. Whatever the function does is an outcome; host trouble is thrown. */
function runGuest(Module, world, checkpoints) {
  const { outcome } = world;
  let steps = checkpoints?.resume() ?? 0;
  let isWhole;
  let hasMore;
  do {
    isWhole = callGuest(Module, outcome, steps === 0 ? RUN : STEP);
    hasMore = isWhole && outcome.hasMore && world.hostFailure === null;
    steps++;
    if (hasMore) checkpoints?.offer(steps);
  } while (hasMore);
  // Compiled code can catch what was thrown, and JavaScript on the way of a trap make something else of it; the meters
  // know.
  if (world.meter.isExceeded) outcome.endWith(OUTPUT_EXCEEDED);
  if (world.fuel.isExhausted) outcome.endWith(OUT_OF_FUEL);
  if (world.hostFailure !== null) throw world.hostFailure;
  return isWhole && !world.meter.isExceeded && !world.fuel.isExhausted;
}

/** Call the guest's main once; tells whether Python has returned. */
function callGuest(Module, outcome, code) {
  outcome.hasMore = false;
  try {
    if (runPython(Module, code) !== 0) {
      outcome.endWith(BROKEN);
      outcome.hasMore = false;
    }
    return true;
  } catch (error) {
    const exitCode = exitCodeOf(error);
    if (exitCode === null) throw error;
    outcome.endWith(exitCode);
    return false;
  }
}
