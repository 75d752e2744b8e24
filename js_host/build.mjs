// Phase 4: make an image. The base image is Python, booted and sealed; others are the base with packages imported.

import { writeAsHost } from "./file_system.mjs";
import { captureState, NotImageable } from "./image.mjs";
import { exitCodeOf, layOut, runPython } from "./task.mjs";
import { BOOT_LIMITS } from "./world.mjs";

/** Where the clock stands while packages are imported: 2000-01-01T00:00:00Z. */
const BUILD_EPOCH = 946_684_800;

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
  world.begin({ ...BOOT_LIMITS, epoch: BUILD_EPOCH });
  const nothing = { mounts: [], outputs: [], guest: "{}" };
  layOut(instance, { files, wheels, source: null, world, task: nothing, remote: null, placed: [] });
  writeAsHost(Module, { "/run/preload.json": JSON.stringify(statements) });
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
    if (exitCodeOf(error) !== null && world.hostFailure === null) unfit("it ends the interpreter");
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
  if (!Module.FS.analyzePath("/run/data").exists) writeAsHost(Module, { "/run/data": "" });
  const descriptions = Object.entries(WARM_UPS).map(([kind, { entry, source }]) => {
    const [place, description] = [`/run/${kind}.py`, `/run/${kind}.json`];
    writeAsHost(Module, { [place]: source, [description]: JSON.stringify({ entry, args: {}, env: {}, source: place }) });
    return description;
  });
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
