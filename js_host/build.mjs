// Phase 4: make an image. The base image is Python, booted and sealed; others are the base with packages imported.

import { LimitExceeded } from "./devices.mjs";
import { captureState, NotImageable } from "./image.mjs";
import { GuestExit } from "./imports.mjs";
import { layOut, runPython } from "./task.mjs";

/** Where the clock stands while packages are imported: 2000-01-01T00:00:00Z. */
const BUILD_EPOCH = 946_684_800;
const BUILD_LIMITS = { epoch: BUILD_EPOCH, memory: 1 << 30, output: 1 << 20, key: new Uint8Array(32) };

/** Fuel for one import statement: an hour and more, and the same for everybody. */
const STATEMENT_FUEL = 4_000_000_000_000;

/** A statement without which the image can be made: it fails, or does what an image would hide. */
export class UnfitStatement extends Error {
  name = "UnfitStatement";

  constructor(number, reason) {
    super(reason);
    this.number = number;
  }
}

/** Import the guest's main, seal Python and close the gate. A failure here is the runtime's own. */
export function prepareGuest({ Module }, world) {
  const failed = runPython(Module, "__import__('_faas_main').prepare()") !== 0;
  if (failed) throw new Error(`the guest's main failed: ${world.stderr.text()}`);
  world.gate.close();
}

/**
 * Import what the function will import.
 *
 * @param {import("./boot.mjs").Instance} instance restored from the base image
 * @param {object} parts {world, files, wheels}
 * @param {Array<[string, string[]]>} statements module, and names that are imported from it
 * @param {(number: number) => void} begins told of each statement
 * @throws {UnfitStatement}
 */
export function preload(instance, { world, files, wheels }, statements, begins) {
  const { Module } = instance;
  world.begin(BUILD_LIMITS);
  const nothing = { mounts: [], outputs: [], guest: "{}" };
  layOut(instance, { files, wheels, source: null, world, task: nothing, remote: null, placed: [] });
  const { FS } = Module;
  FS.ignorePermissions = true;
  FS.writeFile("/run/preload.json", JSON.stringify(statements));
  FS.ignorePermissions = false;
  statements.forEach((_, number) => {
    begins(number);
    load(Module, world, number);
  });
}

function load(Module, world, number) {
  const drawn = world.entropy.drawn;
  const unfit = (reason) => {
    throw new UnfitStatement(number, reason);
  };
  world.fuel.fill(STATEMENT_FUEL);
  try {
    if (runPython(Module, `__import__('_faas_preload').load(${number})`) !== 0) unfit("it breaks the interpreter");
  } catch (error) {
    const isGuests = [LimitExceeded, GuestExit, WebAssembly.RuntimeError, TypeError].some((kind) => error instanceof kind);
    if (isGuests && world.hostFailure === null) unfit("it ends the interpreter");
    throw world.hostFailure ?? error;
  }
  if (world.hostFailure !== null) throw world.hostFailure;
  const code = world.outcome.exitCode;
  if (code === 1) unfit("it fails");
  if (world.meter.used > 0) unfit("it prints");
  if (world.keepsState) unfit("it loads a module that keeps state outside its memory");
  if (world.entropy.drawn !== drawn && code !== 2) unfit("it draws random bytes");
}

/** Tasks that do nothing, of both kinds: what runs them is warm afterwards. */
const WARM_UPS = {
  script: { entry: null, source: "pass\n" },
  function: { entry: "main", source: "def main(data):\n    return {'bytes': len(data.read())}\n" },
};

function warmUp(Module, world) {
  const { FS } = Module;
  FS.ignorePermissions = true;
  if (!FS.analyzePath("/run/data").exists) FS.writeFile("/run/data", "");
  const descriptions = Object.entries(WARM_UPS).map(([kind, { entry, source }]) => {
    FS.writeFile(`/run/${kind}.py`, source);
    FS.writeFile(`/run/${kind}.json`, JSON.stringify({ entry, args: {}, env: {}, source: `/run/${kind}.py` }));
    return `/run/${kind}.json`;
  });
  FS.ignorePermissions = false;
  const failed = runPython(Module, `__import__('_faas_preload').warm_up(${JSON.stringify(descriptions)})`) !== 0;
  if (failed || world.outcome.exitCode !== 0) throw new Error(`tasks that do nothing fail: ${world.stderr.text()}`);
  world.outcome.result.clear();
}

/**
 * Leave the interpreter as tasks are to find it, and write the instance down.
 *
 * @returns {{state: object, modules: string[]}} modules: names of the packages and modules that are there
 */
export function finish(instance, { world, log }, statements) {
  warmUp(instance.Module, world);
  const failed = runPython(instance.Module, "__import__('_faas_preload').finish()") !== 0;
  if (failed) throw new Error(`the image cannot be finished: ${world.stderr.text()}`);
  const modules = JSON.parse(world.outcome.result.text());
  try {
    return { state: captureState(instance, log), modules };
  } catch (error) {
    if (error instanceof NotImageable && statements.length > 0) throw new UnfitStatement(statements.length - 1, `it ${error.message}`);
    throw error;
  }
}
