import assert from "node:assert/strict";
import { test } from "node:test";

import { Gate } from "../../../js_host/gate.mjs";

function guarded() {
  const entry = (...parts) => parts.length;
  const bridge = Object.assign((...parts) => parts.length, { sig: "ee", stub: false });
  const table = { JsProxy_GetAttr_js: bridge, hiwire_of_tomorrow: bridge, __syscall_openat: entry, fd_read: entry, memory: {} };
  const gate = new Gate();
  gate.guard(table);
  return { gate, table, entry };
}

test("while it is open everything can be called", () => {
  const { table } = guarded();
  assert.equal(table.JsProxy_GetAttr_js(1, 2), 2);
  assert.equal(table.fd_read(1), 1);
});

test("closed, it lets through what is listed and nothing else, known or not", () => {
  const { gate, table, entry } = guarded();
  gate.close();
  assert.throws(() => table.JsProxy_GetAttr_js(1, 2), WebAssembly.RuntimeError);
  assert.throws(() => table.hiwire_of_tomorrow(), /hiwire_of_tomorrow is refused/);
  assert.equal(table.fd_read, entry);
  assert.equal(table.__syscall_openat(1), 1);
});

test("it knows whether something was refused since it was closed, caught or not", () => {
  const { gate, table } = guarded();
  table.hiwire_of_tomorrow();
  gate.close();
  table.fd_read(1);
  assert.equal(gate.wasTried, false);
  assert.throws(() => table.hiwire_of_tomorrow());
  assert.equal(gate.wasTried, true);
});

test("signatures stay, and what is no function stays as it is", () => {
  const { table } = guarded();
  assert.deepEqual({ ...table.JsProxy_GetAttr_js }, { sig: "ee", stub: false });
  assert.deepEqual(table.memory, {});
});

test("the table gives nothing that is not in it, and refuses what every object of JavaScript has", () => {
  const { table } = guarded();
  assert.equal(Object.getPrototypeOf(table), null);
  for (const name of ["constructor", "toString", "hasOwnProperty", "__defineGetter__"]) {
    assert.throws(() => table[name](), new RegExp(`${name} is refused`));
  }
  assert.deepEqual(Object.keys(table).sort(), ["JsProxy_GetAttr_js", "__syscall_openat", "fd_read", "hiwire_of_tomorrow", "memory"]);
});
