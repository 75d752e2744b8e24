// Jobs: the newest ones, kept up to date; and one of them, followed as it goes on.

import { follow, get, post } from "/pages/api.js";
import { cidLink, fields, h, mark, table, tell, verdictMark } from "/pages/dom.js";

const EVERY_MS = 3000;
const SHARDS = 200;

export async function jobsPage(place, _rest, signal) {
  const body = h("div", null);
  place.append(h("h1", null, "Jobs"), body);
  let before = "";
  const refresh = async () => {
    const { jobs } = await get("/api/v1/jobs?limit=200", signal);
    const text = JSON.stringify(jobs);
    if (text === before) return;
    before = text;
    body.replaceChildren(jobs.length === 0 ? nothing() : jobTable(jobs));
  };
  await refresh();
  repeat(refresh, signal);
}

function nothing() {
  return h("p", null, "None yet. Run one: ", h("code", null, "bacalhau run python -c 'print(6 * 7)'"));
}

function jobTable(jobs) {
  return table("The newest jobs", [
    ["job", (job) => h("a", { class: "cid short", href: `#/job/${job.job}` }, job.job.slice(0, 8))],
    ["created", (job) => time(job.created_at)],
    ["verdict", (job) => verdictMark(job)],
    ["labels", (job) => (job.labels ?? []).join(", ")],
    ["output", (job) => cidLink(job.output)],
  ], jobs);
}

function time(text) {
  return h("time", { datetime: text }, String(text ?? "").replace("T", " ").replace("+00:00", " UTC"));
}

function repeat(refresh, signal) {
  const timer = setInterval(() => {
    if (!document.hidden) refresh().catch(() => clearInterval(timer));
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

export async function jobPage(place, [id], signal) {
  const job = await get(`/api/v1/jobs/${encodeURIComponent(id)}`, signal);
  const head = h("div", null), events = h("ol", { reversed: false }), rest = h("div", null);
  // Not before there is something below it: a job need not have events, and they come one by one.
  const happened = h("section", { hidden: true }, h("h2", null, "What happened"), events);
  place.append(h("h1", null, `Job ${job.job.slice(0, 8)}`), head, rest, happened);
  await shown(head, rest, job, signal);
  listen(job, events, signal, async () => shown(head, rest, await get(`/api/v1/jobs/${job.job}`, signal), signal));
}

async function shown(head, rest, job, signal) {
  const report = job.report ?? {};
  const isMany = (report.sharding ?? report.flow ?? null) !== null || (job.submission?.shard_count ?? 0) > 0;
  head.replaceChildren(
    fields([
      ["verdict", verdictMark({ ...report, state: job.state, cancelled: job.cancelled, verdict: job.verdict ?? report.verdict, tier: job.tier ?? report.tier, exit_code: report.exit_code })],
      ["why", report.reason],
      ["created", time(job.created_at)],
      ["labels", (job.labels ?? []).join(", ")],
      ["task", cidLink(job.task, "record")],
      ["function", cidLink(report.function, "record")],
      ["input", cidLink(report.input, "record")],
      ["output", cidLink(report.output)],
      ["record", cidLink(report.record, "record")],
      ["rule", report.rule ? `${report.rule.confidence} of ${report.rule.replication} nodes` : null],
    ]),
    job.state === "ended" ? "" : h("p", null, h("button", { type: "button", click: () => cancel(job) }, "Cancel this job")),
  );
  rest.replaceChildren(...(isMany ? await shards(job, signal) : texts(report)), ...receipts(report));
}

async function cancel(job) {
  await post(`/api/v1/jobs/${job.job}/cancel`);
  tell("cancelled");
}

function texts(report) {
  return [["result", "Result"], ["stdout", "stdout"], ["stderr", "stderr"]]
    .filter(([name]) => report[name])
    .map(([name, title]) => [h("h2", null, title, report.cut?.includes(name) ? h("span", { class: "quiet" }, " (the beginning)") : ""), h("pre", { tabindex: "0" }, report[name])])
    .flat();
}

async function shards(job, signal) {
  if (job.state !== "ended") return [];
  const { shards: rows } = await get(`/api/v1/jobs/${job.job}/shards?limit=${SHARDS}`, signal);
  const failed = rows.filter((row) => !row.output || row.exit_code !== 0).length;
  return [
    h("h2", null, "Shards"),
    h("p", null, `${rows.length}${rows.length === SHARDS ? " of more" : ""} shown, ${failed} of them not as they should be.`),
    table("Shards", [
      ["number", (row) => row.index, true],
      ["first", (row) => row.first],
      ["verdict", (row) => verdictMark({ state: "ended", verdict: row.verdict, tier: row.output ? "verified" : "unverified", exit_code: row.exit_code })],
      ["why", (row) => row.reason ?? ""],
      ["output", (row) => cidLink(row.output)],
      ["record", (row) => cidLink(row.record, "record")],
    ], rows),
  ];
}

export function receipts(report) {
  const rows = report.receipts ?? [];
  if (rows.length === 0) return [];
  return [
    h("h2", null, "What the nodes said"),
    table("Receipts", [
      ["word", (row) => (row.agrees === false ? mark("dissent", "bad") : mark("agrees", "good"))],
      ["node", (row) => h("span", { class: "cid" }, row.node)],
      ["engine", (row) => `${row.engine} on ${row.arch}`],
      ["output", (row) => cidLink(row.output)],
      ["state digest", (row) => h("span", { class: "cid" }, String(row.state_digest).slice(0, 16), "…")],
    ], rows),
  ];
}

async function listen(job, list, signal, ended) {
  const add = (line) => {
    list.append(line);
    list.parentElement.hidden = false;
  };
  try {
    for await (const event of follow(job.job, signal)) {
      add(h("li", null, h("strong", null, event.kind), " ", h("span", { class: "quiet" }, time(event.at)), " ", h("code", null, detail(event.detail))));
      if (job.state !== "ended") await ended();
    }
  } catch (error) {
    if (!signal.aborted) add(h("li", { class: "problem" }, error.message));
  }
}

function detail(value) {
  const text = value && Object.keys(value).length > 0 ? JSON.stringify(value) : "";
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}
