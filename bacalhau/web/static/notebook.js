// A Jupyter notebook: its cells, and of their outputs text and pictures. HTML in it is shown as its source: it is a
// stranger's, and would be markup of this page.

import { h } from "/pages/dom.js";

/** Return a notebook as an element, null if it is none. */
export function notebook(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(found?.cells)) return null;
  return h("div", null, found.cells.map(cell));
}

function cell(one, index) {
  const isCode = one?.cell_type === "code";
  const label = isCode ? `Code, cell ${index + 1}` : `${one?.cell_type ?? "Unknown"}, cell ${index + 1}`;
  return h("section", { class: "cell", "aria-label": label },
    isCode ? h("pre", { tabindex: "0" }, joined(one.source)) : joined(one?.source).split(/\n{2,}/).map((part) => h("p", null, part)),
    isCode && Array.isArray(one.outputs) ? one.outputs.map(output) : null);
}

function output(one) {
  if (one?.output_type === "stream") return h("pre", { tabindex: "0" }, joined(one.text));
  if (one?.output_type === "error") return h("pre", { tabindex: "0", class: "problem" }, plain(joined(one.traceback, "\n")) || `${one.ename}: ${one.evalue}`);
  const data = one?.data ?? {};
  for (const type of ["image/png", "image/jpeg"]) {
    const body = joined(data[type]).replace(/\s/g, "");
    if (body && /^[A-Za-z0-9+/=]+$/.test(body)) return h("figure", null, h("img", { src: `data:${type};base64,${body}`, alt: joined(data["text/plain"]) || "picture" }));
  }
  const words = joined(data["text/markdown"]) || joined(data["text/latex"]) || joined(data["text/plain"]) || joined(data["text/html"]);
  return words ? h("pre", { tabindex: "0" }, words) : null;
}

function joined(value, between = "") {
  if (Array.isArray(value)) return value.filter((item) => typeof item === "string").join(between);
  return typeof value === "string" ? value : "";
}

function plain(text) {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\u001b\[[0-9;]*[A-Za-z]/g, "");
}
