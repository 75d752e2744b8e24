// The node that serves this page: who it is, what it has, what it is doing.

import { get } from "/pages/api.js";
import { bytesText, fields, h, table } from "/pages/dom.js";

const EVERY_MS = 3000;

export async function nodePage(place, _rest, signal) {
  const body = h("div", null);
  place.append(h("h1", null, "Node"), body);
  const refresh = async () => body.replaceChildren(...shown(await get("/api/v1/node", signal)));
  await refresh();
  const timer = setInterval(() => {
    if (!document.hidden) refresh().catch(() => clearInterval(timer));
  }, EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function shown(node) {
  if (!node.peer) return [h("p", null, "No node runs here: these are the jobs and records of this home. ", h("code", null, "bacalhau serve"), " starts one.")];
  return [
    fields([
      ["peer", h("span", { class: "cid" }, node.peer)],
      ["roles", node.roles.join(", ")],
      ["labels", Object.entries(node.labels).map(([name, value]) => `${name}=${value}`).join(", ")],
      ["engines", node.engines.join(", ")],
      ["nodes known", node.known_nodes],
      ["executions under way", node.running],
      ["jobs that have not ended", node.jobs_open],
      ["store", node.store_ok ? "can be written" : "CANNOT be written"],
      ["GPUs", node.gpus.join(", ") || node.gpu_note],
    ]),
    h("h2", null, "Capacity"),
    table("What there is, and what is free", [
      ["of", (row) => row.name],
      ["total", (row) => row.text(node.total), true],
      ["free", (row) => row.text(node.free), true],
      ["one job at most", (row) => row.text(node.job_most), true],
      ["in use", (row) => h("progress", { max: row.value(node.total) || 1, value: row.value(node.total) - row.value(node.free), "aria-label": `${row.name} in use` })],
    ], KINDS.map(([name, key, text]) => ({ name, value: (room) => room[key] ?? 0, text: (room) => text(room[key] ?? 0) }))),
    h("h2", null, "Addresses"),
    h("ul", null, node.addresses.map((address) => h("li", { class: "cid" }, address))),
    h("h2", null, "Connected to"),
    node.connected.length === 0 ? h("p", null, "nobody") : h("ul", null, node.connected.map((peer) => h("li", { class: "cid" }, peer))),
  ];
}

const KINDS = [
  ["cores", "cpu_milli", (milli) => String(milli / 1000)],
  ["memory", "memory", bytesText],
  ["disk", "disk", bytesText],
  ["GPUs", "gpus", String],
];
