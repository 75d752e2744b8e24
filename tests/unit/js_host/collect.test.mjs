import assert from "node:assert/strict";
import { test } from "node:test";

import { collectOutputs } from "../../../js_host/collect.mjs";
import { Collected, Outcome, OutputMeter } from "../../../js_host/devices.mjs";

const bytes = (text) => new TextEncoder().encode(text);
const OUTPUTS = [{ name: "outputs", path: "/outputs" }];

/** A file system from nested objects: text is a file, {link} a symlink, null a device, other objects directories. */
function fakeModule(tree) {
  const at = (path) => path.split("/").filter(Boolean).reduce((node, name) => node?.[name], tree);
  const kindOf = (node) =>
    typeof node === "string" ? "file" : node === null ? "device" : "link" in node ? "link" : "directory";
  const FS = {
    analyzePath: (path) => ({ exists: at(path) !== undefined }),
    lstat: (path) => ({ mode: kindOf(at(path)), size: at(path)?.length ?? 0 }),
    isDir: (mode) => mode === "directory",
    isFile: (mode) => mode === "file",
    isLink: (mode) => mode === "link",
    readdir: (path) => [".", "..", ...Object.keys(at(path))],
    readlink: (path) => at(path).link,
    lookupPath: (path) => ({ node: { contents: bytes(`${at(path)}and room to grow`), usedBytes: at(path).length } }),
  };
  return { FS };
}

function collect(tree, { limit = 100, code = 0, result = "" } = {}) {
  const meter = new OutputMeter(limit);
  const world = { meter, stdout: new Collected(meter), stderr: new Collected(meter), outcome: new Outcome(meter) };
  world.stdout.write(bytes("out"));
  world.outcome.result.write(bytes(result));
  world.outcome.exitCode = code;
  const sent = [];
  const parent = {
    send({ type, path, target }, payload) {
      if (type === "file") sent.push([path, ""]);
      else if (type === "piece") sent.at(-1)[1] += Buffer.from(payload).toString();
      else if (type === "directory") sent.push([path, "directory"]);
      else if (type === "symlink") sent.push([path, `-> ${target}`]);
    },
  };
  const exitCode = collectOutputs(fakeModule(tree), { parent, world, outputs: OUTPUTS });
  return { exitCode, sent: Object.fromEntries(sent) };
}

test("streams, result and outputs", () => {
  assert.deepEqual(collect({ outputs: { a: "1", d: { b: "2" } } }, { result: "r" }), {
    exitCode: 0,
    sent: {
      stdout: "out", stderr: "", result: "r",
      "outputs/outputs": "directory", "outputs/outputs/a": "1", "outputs/outputs/d": "directory", "outputs/outputs/d/b": "2",
    },
  });
});

test("a failed function has no result but keeps its files", () => {
  const { exitCode, sent } = collect({ outputs: { a: "1" } }, { code: 3, result: "r" });
  assert.deepEqual([exitCode, sent.result, sent["outputs/outputs/a"]], [3, "", "1"]);
});

test("links are kept if they stay inside, devices are left out", () => {
  const { sent } = collect({
    outputs: {
      near: { link: "a" }, deep: { up: { link: "../a" } }, out: { link: "../../etc" }, root: { link: "/outputs/a" },
      back: { link: "x/../../outputs/a" }, device: null,
    },
  });
  const names = Object.keys(sent).filter((path) => path.startsWith("outputs/outputs/"));
  assert.deepEqual(names, ["outputs/outputs/near", "outputs/outputs/deep", "outputs/outputs/deep/up"]);
});

test("where a link leads counts against the limit", () => {
  const tree = { outputs: { near: { link: "ä".repeat(10) } } };
  assert.equal(collect(tree, { limit: 23 }).exitCode, 0);
  assert.equal(collect(tree, { limit: 22 }).exitCode, 153);
});

test("a link counts upwards only where it is certain what it counts from", () => {
  const { sent } = collect({
    outputs: {
      deep: { er: { up: { link: "../.." }, over: { link: "../../.." }, through: { link: "up/../.." }, bare: { link: "" } } },
      within: { link: "deep/../deep" },
    },
  });
  const links = Object.entries(sent).filter(([, what]) => what.startsWith("-> "));
  assert.deepEqual(links, [["outputs/outputs/deep/er/up", "-> ../.."]]);
});

test("an output directory that is gone, or no directory any more, is an empty one", () => {
  for (const tree of [{}, { outputs: null }, { outputs: { link: "/tmp" } }]) {
    assert.equal(collect(tree).sent["outputs/outputs"], "directory");
  }
});

test("more than the limit is exit code 153: streams stay, result and files go", () => {
  const { exitCode, sent } = collect({ outputs: { a: "12345" } }, { limit: 8, result: "r" });
  assert.equal(exitCode, 153);
  assert.deepEqual(sent, { stdout: "out", stderr: "", result: "", "outputs/outputs": "directory" });
  assert.equal(collect({ outputs: { a: "12345" } }, { limit: 9, result: "r" }).exitCode, 0);
});

test("a tree that no content-addressed directory of ours would hold is exit code 153", () => {
  let deep = "x";
  for (let i = 0; i < 100; i++) deep = { d: deep };
  assert.equal(collect({ outputs: deep }).exitCode, 153);
  assert.equal(collect({ outputs: { ["n".repeat(256)]: "" } }).exitCode, 153);
  assert.equal(collect({ outputs: { ["n".repeat(255)]: "" } }).exitCode, 0);
});
