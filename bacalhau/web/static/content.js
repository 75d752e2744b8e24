// Files and directories of an output, shown as what they are: text, a table, a picture, a notebook; else the bytes' size.

import { get, getBytes } from "/pages/api.js";
import { bytesText, cidLink, fields, h, table } from "/pages/dom.js";
import { csvTable } from "/pages/csv.js";
import { notebook } from "/pages/notebook.js";

const PICTURES = { png: "image/png", jpg: "image/jpeg", jpeg: "image/jpeg", gif: "image/gif", webp: "image/webp" };
// An SVG is a document that can hold scripts; as the source of an <img> none of them runs.
const DRAWINGS = { svg: "image/svg+xml" };
const SHOWN = 200_000;

export async function contentPage(place, [cid, ...names], signal) {
  const path = names.filter(Boolean).join("/");
  const found = await get(`/pages/data/content/${encodeURIComponent(cid)}?path=${encodeURIComponent(path)}`, signal);
  place.append(h("h1", null, path ? names.at(-1) : found.kind === "directory" ? "Directory" : "Content"), trail(cid, names), fields([["CID", h("span", { class: "cid" }, found.cid)], ["kind", found.kind], ["size", found.size === null ? null : bytesText(found.size)]]));
  if (found.kind === "file") place.append(await file(cid, path, names.at(-1) ?? "", signal));
  else if (found.kind !== "symlink") place.append(listing(cid, path, found, signal));
}

function trail(cid, names) {
  const steps = [h("li", null, h("a", { class: "cid", href: `#/content/${encodeURIComponent(cid)}` }, `${cid.slice(0, 16)}…`))];
  names.forEach((name, index) => steps.push(h("li", null, cidLink(cid, "content", names.slice(0, index + 1).join("/")))));
  return h("nav", { "aria-label": "Path" }, h("ul", null, steps));
}

function listing(cid, path, found, signal) {
  const place = h("div", null, rows(cid, path, found.entries));
  if (!found.more) return place;
  let skip = found.entries.length;
  const more = h("button", { type: "button", click: async () => {
    const next = await get(`/pages/data/content/${encodeURIComponent(cid)}?path=${encodeURIComponent(path)}&skip=${skip}`, signal);
    skip += next.entries.length;
    more.before(rows(cid, path, next.entries));
    more.hidden = !next.more;
  } }, "Show more");
  place.append(more);
  return place;
}

function rows(cid, path, entries) {
  return table("What is in it", [
    ["name", (row) => (row.kind === "data" ? cidLink(row.cid, "record") : cidLink(cid, "content", path ? `${path}/${row.name}` : row.name))],
    ["kind", (row) => row.kind ?? "not here"],
    ["size", (row) => bytesText(row.size), true],
    ["CID", (row) => h("span", { class: "cid" }, row.cid)],
  ], entries);
}

async function file(cid, path, name, signal) {
  const { bytes, size } = await getBytes(`/pages/data/files/${encodeURIComponent(cid)}?path=${encodeURIComponent(path)}`, signal);
  const place = h("section", { "aria-label": "Content" });
  place.append(h("p", { class: "tools" }, download(bytes, size, name, signal)));
  if (size > bytes.length) place.append(h("p", { class: "quiet" }, `The first ${bytesText(bytes.length)} of ${bytesText(size)}. All of it: bacalhau cat ${cid}${path ? `/${path}` : ""}`));
  const ending = name.toLowerCase().split(".").at(-1);
  const picture = size === bytes.length ? pictureType(bytes, ending) : null;
  if (picture) return place.append(image(bytes, picture, name, signal)), place;
  const text = asText(bytes);
  if (text === null) return place.append(h("h2", null, "Bytes"), h("pre", { tabindex: "0" }, hexDump(bytes.subarray(0, 2048)))), place;
  if (ending === "csv" || ending === "tsv") return place.append(csvTable(text, ending === "tsv" ? "\t" : ",")), place;
  if (ending === "ipynb") {
    const shown = notebook(text);
    if (shown) return place.append(shown), place;
  }
  place.append(h("pre", { tabindex: "0" }, text.length > SHOWN ? `${text.slice(0, SHOWN)}\n…` : pretty(text)));
  return place;
}

function download(bytes, size, name, signal) {
  if (size > bytes.length) return "";
  return h("a", { href: blobUrl(bytes, "application/octet-stream", signal), download: name || "content" }, "Save it");
}

function blobUrl(bytes, type, signal) {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  signal.addEventListener("abort", () => URL.revokeObjectURL(url));
  return url;
}

/** Return the media type of a picture, by its bytes: a name alone can say anything. */
function pictureType(bytes, ending) {
  const starts = (...head) => head.every((byte, index) => bytes[index] === byte);
  if (starts(0x89, 0x50, 0x4e, 0x47)) return PICTURES.png;
  if (starts(0xff, 0xd8, 0xff)) return PICTURES.jpg;
  if (starts(0x47, 0x49, 0x46, 0x38)) return PICTURES.gif;
  if (starts(0x52, 0x49, 0x46, 0x46) && bytes[8] === 0x57) return PICTURES.webp;
  return DRAWINGS[ending] ?? null;
}

function image(bytes, type, name, signal) {
  return h("figure", null, h("img", { src: blobUrl(bytes, type, signal), alt: name || "picture" }));
}

function asText(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
    return text.includes("\0") ? null : text;
  } catch {
    return null;
  }
}

function pretty(text) {
  if (!/^\s*[[{]/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const shown = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(47)}  ${shown}`);
  }
  return lines.join("\n");
}
