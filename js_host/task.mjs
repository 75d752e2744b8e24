// Phase 5: run one task in an instance that stands where its image was made.

import { collectOutputs } from "./collect.mjs";
import { LimitExceeded, OUTPUT_EXCEEDED } from "./devices.mjs";
import { makeTree, mountSource, mountTask, mountWheels, placeFiles, sealTree } from "./file_system.mjs";
import { fromHex } from "./hex.mjs";
import { GuestExit } from "./imports.mjs";
import { FULL_TANK } from "./instrument/section_writers.mjs";
import { RemoteTree } from "./remote_tree.mjs";

/** Exit code of a WebAssembly trap (out-of-bounds access and the like): the shell's code for SIGSEGV. */
const TRAPPED = 139;

/** Exit code of a task that has spent its fuel (function contract). */
const OUT_OF_FUEL = 152;

/** Exit code where not even our handlers survived what the function did to its interpreter: like any exception. */
const BROKEN = 1;

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
 * @param {object} parts {parent, world, files, wheels, source: null if a mount, task: the frame, placed: files of the image, phase: told names}
 * @returns {{exitCode: number, fuel: number, isWhole: boolean}} isWhole: Python returned, whatever the outcome
 */
export function runTask(instance, { parent, world, files, wheels, source, task, placed, phase }) {
  const { Module } = instance;
  const key = fromHex(task.entropy_key);
  world.begin({ epoch: task.epoch, memory: task.limits.memory, output: task.limits.output, key });
  layOut(instance, { files, wheels, source, world, task, remote: new RemoteTree(parent), placed });

  phase("run");
  // The clock has not moved and no entropy was drawn: the tree is made of neither.
  world.fuel.fill(task.limits.fuel ?? FULL_TANK);
  const isWhole = runGuest(Module, world);
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

/** Run the guest's main. Whatever the function does is an outcome; host trouble is thrown. */
function runGuest(Module, world) {
  const { outcome } = world;
  let isWhole = false;
  try {
    if (runPython(Module, "__import__('_faas_main').run()") !== 0) outcome.endWith(BROKEN);
    isWhole = true;
  } catch (error) {
    const code = exitCodeOf(error);
    if (code === null) throw error;
    outcome.endWith(code);
  }
  // Compiled code can catch what was thrown, and JavaScript on the way of a trap make something else of it; the meters
  // know.
  if (world.meter.isExceeded) outcome.endWith(OUTPUT_EXCEEDED);
  if (world.fuel.isExhausted) outcome.endWith(OUT_OF_FUEL);
  if (world.hostFailure !== null) throw world.hostFailure;
  return isWhole && !world.meter.isExceeded && !world.fuel.isExhausted;
}
