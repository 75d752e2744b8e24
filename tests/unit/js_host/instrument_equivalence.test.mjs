// Random programs give the same with and without instrumentation, and pay for what they execute.

import assert from "node:assert/strict";
import { test } from "node:test";

import { instrument } from "../../../js_host/instrument/instrument.mjs";
import { FULL_TANK } from "../../../js_host/instrument/section_writers.mjs";
import { randomModule } from "./random_wasm.mjs";
import { run, STACK_HIGH } from "./wasm_assembly.mjs";

const SEEDS = 300;

const bits = (number) => new BigUint64Array(Float64Array.of(number).buffer)[0].toString(16);

/** Call f0 as the seed has it, twice; return all that can be seen, NaNs by their bits. */
function observe(bytes, seed) {
  const exports = run(bytes);
  const values = [exports.f0(seed % 7, seed / 3), exports.f0(3, NaN)].map(bits);
  const memory = Buffer.from(exports.memory.buffer).toString("latin1");
  const fuel = exports.__faas_fuel === undefined ? null : BigInt(FULL_TANK) - exports.__faas_fuel.value;
  return { values, memory, fuel, weight: exports.weight?.value ?? null, pointer: exports.__stack_pointer?.value ?? null };
}

const seen = ({ values, memory }) => ({ values, memory });
/** All NaNs look alike: f64 in the first KiB and in the results, f32 in the second KiB. */
const blurred = ({ values, memory }) => {
  const bytes = Uint8Array.from(Buffer.from(memory.slice(0, 2048), "latin1"));
  const results = values.map((value) => (/^[7f]ff/.test(value) && !/^.ff0{13}$/.test(value) ? "NaN" : value));
  return [results, Array.from(new Float64Array(bytes.buffer, 0, 128)), Array.from(new Float32Array(bytes.buffer, 1024))];
};

function forSeeds(check) {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const made = randomModule(seed, { handlers: seed % 2 === 1, local: seed % 3 > 0 });
    assert.ok(WebAssembly.validate(made.plain), `seed ${seed}: the generator made an invalid module`);
    check(seed, made);
  }
}

test("canonical where observed is not told apart from canonical everywhere", () => {
  let fewer = 0;
  const check = (seed, { plain }) => {
    const here = instrument(plain, { kind: "main" });
    const everywhere = instrument(plain, { kind: "main", nan: "everywhere" });
    assert.deepEqual(seen(observe(here.bytes, seed)), seen(observe(everywhere.bytes, seed)), `seed ${seed}`);
    fewer += everywhere.report.nan_sites - here.report.nan_sites;
  };
  forSeeds(check);
  for (let seed = SEEDS; seed < 4 * SEEDS; seed++) check(seed, randomModule(seed, { local: true, handlers: seed % 2 === 1 }));
  assert.ok(fewer > SEEDS, "the plan left out no place at all");
});

test("fuel changes nothing that a program computes", () => {
  forSeeds((seed, { plain }) => {
    const without = instrument(plain, { kind: "main", fuel: false }).bytes;
    const withFuel = instrument(plain, { kind: "main" }).bytes;
    assert.deepEqual(seen(observe(withFuel, seed)), seen(observe(without, seed)), `seed ${seed}`);
  });
});

test("counting the stack changes nothing that a program computes, and the pointer comes back", () => {
  let users = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { plain } = randomModule(seed, { handlers: true, local: seed % 3 === 0, stack: true });
    const without = instrument(plain, { kind: "main", stack: false });
    const counting = instrument(plain, { kind: "main" });
    const [before, after] = [without, counting].map(({ bytes }) => observe(bytes, seed));
    assert.deepEqual(after, before, `seed ${seed}`);
    assert.equal(after.pointer, STACK_HIGH, `seed ${seed}`);
    users += counting.report.stack_users;
  }
  assert.ok(users > SEEDS, "few functions were counted");
});

test("programs that never look at a NaN's bits compute the same without instrumentation", () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { plain } = randomModule(seed, { blind: true, handlers: seed % 2 === 0 });
    const [before, after] = [plain, instrument(plain, { kind: "main" }).bytes].map((bytes) => blurred(observe(bytes, seed)));
    assert.deepEqual(after, before, `seed ${seed}`);
  }
});

test("what is paid covers the weight of what was executed, and no more than a few times it", () => {
  let [paid, executed] = [0n, 0n];
  forSeeds((seed, { plain, counting }) => {
    const { fuel } = observe(instrument(plain, { kind: "main", nan: "everywhere" }).bytes, seed);
    const reference = observe(instrument(counting, { kind: "main", nan: "everywhere", fuel: false }).bytes, seed);
    assert.ok(fuel >= reference.weight, `seed ${seed}: paid ${fuel} for ${reference.weight}`);
    paid += fuel;
    executed += reference.weight;
  });
  assert.ok(paid < 3n * executed, `paid ${paid} for ${executed}`);
});

test("fuel is the same each time", () => {
  forSeeds((seed, { plain }) => {
    const { bytes } = instrument(plain, { kind: "main" });
    assert.equal(observe(bytes, seed).fuel, observe(bytes, seed).fuel);
  });
});

test("the same bytes come out each time", () => {
  forSeeds((_seed, { plain }) => {
    assert.deepEqual(instrument(plain, { kind: "main" }).bytes, instrument(plain, { kind: "main" }).bytes);
  });
});
