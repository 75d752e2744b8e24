import assert from "node:assert/strict";
import { test } from "node:test";

import { Clock, TICK_NS } from "../../../js_host/clock.mjs";

test("starts at the epoch and moves one tick for each read, of whichever clock", () => {
  const clock = new Clock();
  clock.reset(10);
  assert.equal(clock.readRealtimeNs(), 10_000_000_000n + TICK_NS);
  assert.equal(clock.readMonotonicNs(), 2n * TICK_NS);
  assert.equal(clock.readRealtimeNs(), 10_000_000_000n + 3n * TICK_NS);
});

test("sleeping moves it by the length, and never back", () => {
  const clock = new Clock();
  clock.reset(0);
  clock.advanceNs(5_000_000n);
  clock.advanceNs(-5_000_000n);
  assert.equal(clock.readMonotonicNs(), 5_000_000n + TICK_NS);
});

test("looking does not move it", () => {
  const clock = new Clock();
  clock.reset(1);
  clock.advanceNs(1_999_999n);
  assert.deepEqual([clock.fileMilliseconds(), clock.fileMilliseconds()], [1001, 1001]);
  assert.equal(clock.monotonicMilliseconds(), 1.999);
  assert.equal(clock.readMonotonicNs(), 1_999_999n + TICK_NS);
});

test("reset starts again", () => {
  const clock = new Clock();
  clock.readMonotonicNs();
  clock.reset(253402300799);
  assert.equal(clock.readRealtimeNs(), 253402300799_000_000_000n + TICK_NS);
});
