// Checkpoints: the state of a run between two steps, so that another run can go on from there.
//
// Between two steps nothing of the guest is on a stack. What is there is the linear memory, of which the pages that are
// not the image's are written down; the globals; what the loader has done (links.mjs); tree and open files
// (file_state.mjs); and the world: clock, place in the streams of randomness, meters, what was put out. All else must be
// as the image has it, or there is no checkpoint.
// A run that goes on from one is the same run: whatever depends on how far it has come is in one of these.

import { describeFiles, firstPlaces, NotKept, restoreFiles } from "./file_state.mjs";
import { hostMilliseconds, sameBytes } from "./host.mjs";
import { Links } from "./links.mjs";
import { PAGE_BYTES, pageOf } from "./state_digest.mjs";

const PIECE_BYTES = 1 << 20;
const NO_PAGE = new Uint8Array(PAGE_BYTES);
const OUTPUTS = ["stdout", "stderr"];

/** Steps take so many times as long as a checkpoint, or there is none behind them: what it costs is a small part. */
const TIMES_AS_LONG = 10;

/** Steps behind which there may still be one, as the parent has it (runtime/checkpoint_model.py). */
const MOST_STEPS = 1_000_000;

export class Checkpoints {
  #parts;
  #asked;
  #first;
  #links;
  #lastMs;
  /** What the last one has taken, milliseconds. */
  #tookMs = 0;

  /**
   * The checkpoints of one run, whose tree is laid out and in which nothing has run.
   *
   * @param {object} parts {instance, parent, world, pristine, image: its state, trace: a SourceTrace, log, compile,
   *   fuel: the run's limit}
   * @param {{resume: null | {state_bytes: number, data_bytes: number}, after_ms: number, most_bytes: number}} asked
   *   resume: one to go on from, which the parent sends when it is asked; after_ms: how long steps must have taken for one
   *   to be worth while, 0 for one after each; most_bytes: how large one may be
   */
  constructor(parts, asked) {
    this.#parts = parts;
    this.#asked = asked;
    this.#first = firstPlaces(parts.instance.Module);
    this.#links = new Links(parts.instance, parts.image, parts.log, parts.compile);
    this.#lastMs = hostMilliseconds();
  }

  /** Go on from the one that the parent has, if it has one; tells how many steps are done. */
  resume() {
    const { resume: sizes } = this.#asked;
    if (sizes === null) return 0;
    const { parent, trace } = this.#parts;
    parent.send({ type: "resume" });
    const bytes = receive(parent, sizes.state_bytes + sizes.data_bytes);
    const { questions, ...state } = JSON.parse(new TextDecoder().decode(bytes.subarray(0, sizes.state_bytes)));
    this.#restore(state, bytes.subarray(sizes.state_bytes));
    trace.take(questions);
    parent.send({ type: "resumed", steps: state.steps });
    this.#lastMs = hostMilliseconds();
    return state.steps;
  }

  /** Send one to the parent, if it is worth while and the state can be written down. */
  offer(steps) {
    const began = hostMilliseconds();
    const { after_ms: afterMs } = this.#asked;
    if (steps > MOST_STEPS) return;
    if (afterMs > 0 && began - this.#lastMs < Math.max(afterMs, TIMES_AS_LONG * this.#tookMs)) return;
    let found = null;
    try {
      found = this.#capture(steps);
    } catch (error) {
      // Mostly NotKept and NotImageable. Whatever it is, nothing but looking was done: the run goes on.
      this.#parts.parent.send({ type: "unkept", steps, reason: String(error.message).slice(0, 200) });
    }
    if (found !== null) this.#send(found);
    this.#lastMs = hostMilliseconds();
    this.#tookMs = this.#lastMs - began;
  }

  #send({ text, questions, steps, data, dataBytes }) {
    const { parent } = this.#parts;
    parent.send({ type: "checkpoint", steps, questions, state_bytes: text.length, data_bytes: dataBytes });
    for (const part of [text, ...data]) sendPieces(parent, part);
  }

  /** State as JSON text, and the bytes that go with it, in their order. */
  #capture(steps) {
    const { instance, world, pristine, trace } = this.#parts;
    const { questions } = trace;
    if (questions === null) throw new NotKept("has asked too much about its own files");
    demandImage(instance, world);
    const links = this.#links.describe(world.hasLinked);
    const { Module, globals } = instance;
    const memory = Module.HEAPU8;
    // Memory that has grown is empty at first, so empty pages beyond the image need not be kept.
    const isKept = (page) => page * PAGE_BYTES < pristine.length || !sameBytes(pageOf(memory, page), NO_PAGE);
    const pages = runsOf(pristine.compare(memory).filter(isKept));
    const { state: files, contents } = describeFiles(Module, this.#first);
    const outputs = [...OUTPUTS.map((name) => world[name]), world.outcome.result].map(({ pieces }) => pieces);
    const state = {
      steps, questions, links, files, pages, memory_bytes: memory.length, world: world.describe(),
      globals: Object.fromEntries(Object.entries(globals).map(([name, { value }]) => [name, Number(value)])),
      outputs: outputs.map((pieces) => pieces.reduce((sum, piece) => sum + piece.length, 0)),
    };
    const bytes = pages.map(([from, to]) => memory.subarray(from * PAGE_BYTES, to * PAGE_BYTES));
    const data = [...bytes, ...outputs.flat(), ...contents];
    const dataBytes = data.reduce((sum, part) => sum + part.length, 0);
    const text = new TextEncoder().encode(JSON.stringify(state));
    if (text.length + dataBytes > this.#asked.most_bytes) throw new NotKept("is too large");
    return { text, questions, steps, data, dataBytes };
  }

  #restore(state, data) {
    const { instance, world, pristine, fuel } = this.#parts;
    const { Module, globals } = instance;
    let at = 0;
    const take = (length) => data.subarray(at, (at += length));
    if (state.links !== null) {
      world.hasLinked = true;
      this.#links.restore(state.links);
      pristine.layOver(Module.HEAPU8); // modules may write when they are instantiated, and spend fuel
    }
    if (state.memory_bytes < pristine.length) throw new Error("checkpoint: its memory is smaller than the image's");
    if (!Module.growMemory(state.memory_bytes)) throw new Error("checkpoint: the host has no memory left for it");
    for (const [from, to] of state.pages) Module.HEAPU8.set(take((to - from) * PAGE_BYTES), from * PAGE_BYTES);
    for (const [name, value] of Object.entries(state.globals)) globals[name].value = value;
    world.resume(state.world, state.outputs.map((length) => take(length)), fuel);
    restoreFiles(Module, state.files, take);
    const { state: files } = describeFiles(Module, this.#first);
    const links = this.#links.describe(world.hasLinked);
    const isBack = at === data.length && JSON.stringify([files, links]) === JSON.stringify([state.files, state.links]);
    if (!isBack) throw new Error("checkpoint: what is restored is not what was written down");
  }
}

/** Refuse where something that no checkpoint holds is not as the image has it; see `resetInstance`. */
function demandImage({ Module, tables, references }, world) {
  const demand = (holds, reason) => {
    if (!holds) throw new NotKept(reason);
  };
  demand(world.hostFailure === null && !world.meter.isExceeded && !world.fuel.isExhausted, "has met a limit");
  demand(!world.gate.wasTried, "has asked for JavaScript");
  demand(!world.keepsState, "has loaded a module that keeps state outside its memory");
  for (const [name, held] of Object.entries(references)) {
    const isSame = tables[name].length === held.length && held.every((value, i) => tables[name].get(i) === value);
    demand(isSame, "has changed a table of references");
  }
  const { DNS, Protocols } = Module;
  demand(Object.keys(DNS.address_map.names).length === 0, "has looked up a host");
  demand(Protocols.list.length === 0 && Object.keys(Protocols.map).length === 0, "has looked up a protocol");
}

/** Runs of neighbours in ascending page numbers: [first, the one after the last]. */
function runsOf(numbers) {
  const runs = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run?.[1] === number) run[1] = number + 1;
    else runs.push([number, number + 1]);
  }
  return runs;
}

function sendPieces(parent, bytes) {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) parent.send({ type: "piece" }, bytes.subarray(at, at + PIECE_BYTES));
}

function receive(parent, size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const { payload } = parent.receive();
    bytes.set(payload, at);
    at += payload.length;
  }
  return bytes;
}
