// A second auditor, written from docs/audit.md in another language and with nothing installed, gives what the vectors say.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { auditAncestors, auditRecord, blindness, Blocks } from "./auditor/checks.mjs";
import { readCar, tried } from "./auditor/codecs.mjs";
import { auditGraph, compareLogs, isGraph, recordsOf } from "./auditor/graph.mjs";

const FOLDER = fileURLToPath(new URL("../vectors/audit/", import.meta.url));
const CASES = readdirSync(FOLDER, { withFileTypes: true }).filter((one) => one.isDirectory() && !one.name.startsWith("__"));

function audit(data, cid, deep) {
  const car = readCar(data);
  const blocks = new Blocks(car.blocks);
  const roots = cid === null ? car.roots : named(blocks, car.roots).filter((root) => subjects(blocks, root).includes(cid)).slice(0, 1);
  const isUnproven = cid !== null && roots.length === 0;
  const file = [[0, car.problem !== null ? false : isUnproven ? null : true]];
  const distinct = [...new Map(roots.map((root) => [root.id, root])).values()];
  const graphs = [];
  const records = distinct.map((root) => {
    if (!isGraph(blocks, root)) {
      const checks = auditRecord(blocks, root);
      return { said: { record: String(root), blind: blindness(blocks, root, checks)?.blind ?? null }, checks };
    }
    const found = auditGraph(blocks, root);
    graphs.push(found);
    return { said: { record: String(root), unblind: found.unblind }, checks: found.checks };
  });
  const after = deep ? [auditAncestors(blocks, distinct.flatMap((root) => recordsOf(blocks, root)))] : [];
  after.push(...compareLogs(graphs));
  const all = [...file, ...records.flatMap((one) => one.checks), ...after];
  return {
    verdict: verdictOf(all.map(([, state]) => state)),
    check: all.find(([, state]) => state !== true)?.[0] ?? null,
    file: numbers([...file, ...after]),
    records: records.map(({ said, checks }) => ({ ...said, verdict: verdictOf(checks.map(([, state]) => state)), ...numbers(checks) })),
  };
}

const named = (blocks, roots) => [...roots, ...roots.flatMap((root) => tried(() => blocks.load(root, "AnyGraph").get("records"), []))];

function subjects(blocks, root) {
  const record = tried(() => blocks.load(root, "Record"), null);
  return [root, ...(record === null ? [] : [record.get("output"), record.get("task")])].map(String);
}

const verdictOf = (states) => (states.includes(false) ? "invalid" : states.includes(null) ? "unchecked" : "valid");
const numbers = (checks) => ({
  false: checks.filter(([, state]) => state === false).map(([n]) => n),
  unknown: checks.filter(([, state]) => state === null).map(([n]) => n),
});

test("there are vectors", () => assert.ok(CASES.length > 50));

for (const { name } of CASES) {
  test(name, () => {
    const said = JSON.parse(readFileSync(`${FOLDER}${name}/expected.json`, "utf8"));
    const { about, cid, deep, ...expected } = said;
    assert.deepEqual(audit(readFileSync(`${FOLDER}${name}/evidence.car`), cid, deep), expected, about);
  });
}
