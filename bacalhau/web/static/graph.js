// The result graph: drawn, with what one record came of and led to in front; and the same as a table, for whoever does
// not see the drawing or cannot use a mouse.

import { get } from "/pages/api.js";
import { cidLink, h, mark, table, tell } from "/pages/dom.js";
import { layered, lineages } from "/pages/layout.js";

const LISTED = 500;
// From here on nodes are points and edges thin lines: arrowheads could not be seen, and cost most of a frame.
const MANY = 2000;
/** Up to here nearly every record has its label. */
const FEW = 100;
const KINDS = [
  ["good", "--good", "verified"],
  ["disputed", "--warn", "disputed: records contradict each other"],
  ["tainted", "--bad", "tainted: something unverified is in it"],
  ["unknown", "--quiet", "unknown: something that it came of was not looked at"],
  ["gone", "--edge", "not here"],
];

export async function graphPage(place, [cid], signal) {
  const found = await get(`/pages/data/graph?limit=10000${cid ? `&of=${encodeURIComponent(cid)}` : ""}`, signal);
  place.append(h("h1", null, "Result graph"));
  if (found.nodes.length === 0) {
    place.append(h("p", null, "No records yet."));
    return;
  }
  const state = { focus: found.focus[0] ?? null, found, lineage: lineages(found.edges), draw: () => {} };
  const list = h("div", null);
  const select = (chosen) => {
    state.focus = chosen;
    state.draw();
    listed(state, list, select);
    tell(chosen ? `record ${chosen.slice(0, 16)} chosen` : "nothing chosen");
  };
  place.append(
    h("p", null, `${found.nodes.length.toLocaleString()} record${found.nodes.length === 1 ? "" : "s"}, ${found.edges.length.toLocaleString()} link${found.edges.length === 1 ? "" : "s"}${found.more ? "; there are more" : ""}. Parents are left of what came of them.`),
    h("ul", { class: "legend", "aria-label": "Colours" }, KINDS.map(([, colour, words]) => h("li", null, dot(colour), words))),
    zoom(state),
    drawing(state, select, signal),
    list,
  );
  listed(state, list, select);
}

function zoom(state) {
  const button = (text, words, change) => h("button", { type: "button", "aria-label": words, click: () => state.camera && change(state.camera) }, text);
  return h("p", { class: "tools" },
    button("+", "Zoom in", (camera) => camera.animatedZoom()),
    button("−", "Zoom out", (camera) => camera.animatedUnzoom()),
    button("All", "Show the whole graph", (camera) => camera.animatedReset()));
}

function dot(colour) {
  const made = h("span", { class: "dot", "aria-hidden": "true" });
  made.style.color = `var(${colour})`;
  return made;
}

export function kindOf(node) {
  if (!node.here) return "gone";
  if (node.disputed) return "disputed";
  if (node.tainted) return "tainted";
  return node.tainted === null ? "unknown" : "good";
}

function drawing(state, select, signal) {
  const { graphology, Sigma } = globalThis;
  if (!graphology || !Sigma) return h("p", { class: "quiet" }, "The library that draws is not here (npm brings it); the table below has all of it.");
  const box = h("div", { class: "drawing", role: "img", "aria-label": "The records as a graph; the table below has the same" });
  // Drawn when it is on the page: before that it has no size.
  document.getElementById("main").addEventListener("shown", () => {
    if (!signal.aborted && box.isConnected) drawn(box, state, select, signal);
  }, { once: true });
  return box;
}

function drawn(box, state, select, signal) {
  const { graphology, Sigma } = globalThis;
  const { nodes, edges } = state.found;
  const style = getComputedStyle(document.documentElement);
  const colours = Object.fromEntries(KINDS.map(([kind, name]) => [kind, style.getPropertyValue(name).trim()]));
  const panel = style.getPropertyValue("--panel").trim();
  const quiet = style.getPropertyValue("--line").trim(), edge = style.getPropertyValue("--edge").trim(), text = style.getPropertyValue("--text").trim();
  const many = nodes.length > MANY || edges.length > 2 * MANY;
  const { EdgeLineProgram, NodePointProgram } = Sigma.rendering;
  const graph = new graphology.Graph({ type: "directed", multi: false });
  const places = layered(nodes.map((node) => node.cid), edges);
  for (const node of nodes) {
    graph.addNode(node.cid, { ...places[node.cid], size: many ? 2.5 : 6, label: node.cid.slice(-8), color: colours[kindOf(node)], kind: kindOf(node) });
  }
  for (const [parent, child] of edges) if (!graph.hasEdge(parent, child)) graph.addEdge(parent, child, { size: 1, color: edge });
  let near = null;
  state.draw = () => {
    near = state.focus ? state.lineage(state.focus) : null;
    sigma.refresh({ skipIndexation: true });
  };
  const sigma = new Sigma(graph, box, {
    labelColor: { color: text },
    labelFont: "ui-monospace, monospace",
    labelDensity: nodes.length > FEW ? 1 : 3,
    defaultDrawNodeLabel: (canvas, node, settings) => label(canvas, node, settings, panel),
    ...(many ? { defaultEdgeType: "line", edgeProgramClasses: { line: EdgeLineProgram }, nodeProgramClasses: { circle: NodePointProgram } } : { defaultEdgeType: "arrow" }),
    hideEdgesOnMove: many,
    hideLabelsOnMove: many,
    renderEdgeLabels: false,
    zIndex: true,
    nodeReducer: (cid, data) => {
      if (!near) return data;
      return near.has(cid) ? { ...data, zIndex: 1, size: data.size * (cid === state.focus ? 2 : 1.3), forceLabel: near.size < box.offsetWidth / 20 } : { ...data, color: quiet, label: "", zIndex: 0 };
    },
    edgeReducer: (edge, data) => {
      if (!near) return data;
      const [from, to] = graph.extremities(edge);
      return near.has(from) && near.has(to) ? { ...data, color: text, size: 2, zIndex: 1 } : { ...data, color: quiet };
    },
  });
  state.camera = sigma.getCamera();
  sigma.on("clickNode", ({ node }) => select(node));
  sigma.on("clickStage", () => select(null));
  signal.addEventListener("abort", () => sigma.kill());
  box.dataset.drawn = String(graph.order);
  state.draw();
}

/** Draw the label of a node beside it: on the right, or on the left where the drawing ends; edges do not strike it out. */
function label(canvas, node, settings, ground) {
  if (!node.label) return;
  canvas.font = `${settings.labelWeight} ${settings.labelSize}px ${settings.labelFont}`;
  const { width } = canvas.measureText(node.label), gap = node.size + 3;
  const end = canvas.canvas.width / globalThis.devicePixelRatio;
  const place = [node.label, node.x + gap + width > end ? node.x - gap - width : node.x + gap, node.y + settings.labelSize / 3];
  Object.assign(canvas, { strokeStyle: ground, lineWidth: 4, lineJoin: "round", fillStyle: settings.labelColor.color });
  canvas.strokeText(...place);
  canvas.fillText(...place);
}

function listed(state, place, select) {
  const { nodes } = state.found;
  const near = state.focus ? state.lineage(state.focus) : null;
  const rows = (near ? nodes.filter((node) => near.has(node.cid)) : nodes).slice(0, LISTED);
  const total = near ? near.size : nodes.length;
  place.replaceChildren(
    h("h2", null, near ? "What the chosen record came of, and what came of it" : "Records"),
    near ? h("p", { class: "tools" }, h("button", { type: "button", click: () => select(null) }, "Show all")) : "",
    total > rows.length ? h("p", { class: "quiet" }, `The first ${rows.length} of ${total}.`) : "",
    table("Records", [
      ["record", (node) => cidLink(node.cid, "record")],
      ["state", (node) => marks(node, state.focus)],
      ["output", (node) => cidLink(node.output)],
      ["lineage", (node) => h("button", { type: "button", click: () => select(node.cid), "aria-label": `Choose record ${node.cid.slice(-8)}` }, "Choose")],
    ], rows),
  );
}

function marks(node, focus) {
  const kind = kindOf(node);
  const words = { good: ["verified", "good"], disputed: ["disputed", ""], tainted: ["tainted", "bad"], unknown: ["verified; it came of something unknown", ""], gone: ["not here", ""] }[kind];
  return [mark(...words), node.cid === focus ? [" ", mark("chosen", "")] : null];
}
