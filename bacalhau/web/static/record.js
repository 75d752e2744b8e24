// A record: what it says, what each node said, and its audit, check by check.

import { get, post } from "/pages/api.js";
import { cidLink, fields, h, mark, table, tell } from "/pages/dom.js";

const LINKS = ["task", "function", "input", "commitments"];

export async function recordPage(place, [cid, ...path], signal) {
  if (path.length > 0) {
    location.replace(`#/content/${[cid, ...path].map(encodeURIComponent).join("/")}`);
    return;
  }
  const found = await get(`/pages/data/records/${encodeURIComponent(cid)}`, signal);
  const isRecord = String(found.kind).includes("record/");
  place.append(h("h1", null, isRecord ? "Record" : found.kind), h("p", { class: "cid" }, found.cid));
  if (!isRecord) {
    place.append(data(found));
    return;
  }
  const said = found.fields;
  const checks = h("div", null);
  const button = h("button", { type: "button", click: () => audit(found.cid, checks, button, signal) }, "Audit it");
  place.append(
    ...doubts(found),
    fields([
      ["tier", mark(said.tier, said.tier === "verified" ? "good" : "bad")],
      ["output", cidLink(link(said.output))],
      ...LINKS.map((name) => [name, cidLink(link(said[name]), "record")]),
      ["rule", said.rule ? `${said.rule.confidence} of ${said.rule.replication} nodes${said.rule.diverse ? ", of different engines" : ""}` : null],
      ["parents", said.parents?.length ? h("ul", null, said.parents.map((one) => h("li", null, cidLink(link(one), "record")))) : "none"],
    ]),
    h("p", { class: "tools" }, button, h("a", { href: `#/graph/${found.cid}` }, "Show it in the graph")),
    checks,
  );
  if (found.receipts.length > 0) place.append(h("h2", null, "What the nodes said"), receiptTable(found.receipts));
}

/** Return what stands against a record, before anything that it says: its taint, and who contradicts it. */
function doubts({ tainted, taint_reason, disputes = [], disputed_by, cid }) {
  const said = [];
  if (taint_reason) {
    said.push(h("p", { class: "problem" }, mark(tainted ? "tainted" : "perhaps tainted", tainted ? "bad" : ""), ` ${taint_reason}`));
  }
  if (disputes.length > 0) {
    const more = disputed_by > disputes.length ? h("li", null, `and ${disputed_by - disputes.length} more`) : "";
    said.push(
      h("div", { class: "problem" }, mark("disputed", "bad"), " the same task has another output in",
        h("ul", null, disputes.map((one) => h("li", null, cidLink(one.rival, "record"), one.of === cid ? "" : [" (of what it comes from: ", cidLink(one.of, "record"), ")"])), more)),
    );
  }
  return said;
}

function receiptTable(rows) {
  return table("Receipts", [
    ["word", (row) => (row.problem ? mark("not here", "") : row.dissents ? mark("dissent", "bad") : mark("agrees", "good"))],
    ["node", (row) => h("span", { class: "cid" }, row.node ?? row.problem)],
    ["engine", (row) => (row.engine ? `${row.engine} on ${row.arch}` : "")],
    ["output", (row) => cidLink(row.output)],
    ["exit code", (row) => row.exit_code ?? "", true],
    ["fuel", (row) => (row.fuel ?? "").toLocaleString(), true],
    ["state digest", (row) => h("span", { class: "cid" }, row.state_digest ? `${row.state_digest.slice(0, 12)}…` : "")],
    ["jail", (row) => (row.isolation ?? []).join(", ")],
  ], rows);
}

async function audit(cid, place, button, signal) {
  button.disabled = true;
  place.replaceChildren(h("p", { class: "quiet" }, "Checking every block and signature…"));
  try {
    const found = await post(`/pages/data/records/${encodeURIComponent(cid)}/audit`, signal);
    const quality = { valid: "good", invalid: "bad" }[found.verdict] ?? "";
    place.replaceChildren(
      h("h2", null, "Audit: ", mark(found.verdict, quality)),
      found.reason ? h("p", null, found.reason) : "",
      found.taint_reason ? h("p", { class: "problem" }, `${found.tainted ? "tainted" : "perhaps tainted"}: ${found.taint_reason}`) : "",
      table("Checks; docs/audit.md says what each of them looks at", [
        ["number", (one) => one.n, true],
        ["check", (one) => one.name],
        ["found", (one) => (one.ok === true ? mark("ok", "good") : one.ok === false ? mark("false", "bad") : mark("not checked", ""))],
        ["detail", (one) => h("span", { class: "cid" }, one.detail)],
      ], found.checks),
    );
    tell(`audit: ${found.verdict}`);
  } catch (error) {
    place.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message));
  }
  button.disabled = false;
}

function link(value) {
  return value && typeof value === "object" ? value["/"] : "";
}

/** Return any other data, with its links as links. */
function data(found) {
  return h("div", { class: "wide" }, tree(found.fields));
}

function tree(value) {
  if (value === null || typeof value !== "object") return h("code", null, JSON.stringify(value));
  if (Object.keys(value).length === 1 && typeof value["/"] === "string") return cidLink(value["/"], value["/"].startsWith("bafyrei") ? "record" : "content");
  const pairs = Array.isArray(value) ? value.map((item, index) => [index, item]) : Object.entries(value);
  if (pairs.length === 0) return h("span", { class: "quiet" }, "none");
  return fields(pairs.map(([name, item]) => [name, tree(item)]));
}
