// Builds elements. Whatever somebody wrote becomes text or an attribute here, never markup.

/** Return an element. attributes: strings; true for one without a value; functions are listeners by their event. */
export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false).map(asNode));
  return element;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/** Return a table. columns: [heading, row => cell content, is a number]. */
export function table(caption, columns, rows) {
  const head = columns.map(([title, , numeric]) => h("th", { scope: "col", class: numeric ? "number" : null }, title));
  const body = rows.map((row) => h("tr", null, columns.map(([, cell, numeric]) => h("td", { class: numeric ? "number" : null }, cell(row)))));
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    h("table", null, h("caption", null, caption), h("thead", null, h("tr", null, head)), h("tbody", null, body)));
}

/** Return a list of names and values; those without a value are left out. */
export function fields(pairs) {
  return h("dl", null, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

/** Return a link to what a CID names. kind: "record" or "content". */
export function cidLink(cid, kind = "content", path = "") {
  if (!cid) return "";
  const place = path ? `/${path.split("/").map(encodeURIComponent).join("/")}` : "";
  return h("a", { class: "cid", href: `#/${kind}/${encodeURIComponent(cid)}${place}` }, path ? path.split("/").at(-1) : cid);
}

/** Return a verdict as a mark: in words, and in colour. */
export function mark(word, quality) {
  return h("span", { class: `mark ${quality ?? ""}` }, word);
}

export function verdictMark(row) {
  if (row.state && row.state !== "ended") return mark(row.state, "");
  if (row.cancelled) return mark("cancelled", "");
  if (!row.verdict) return mark("no verdict", "bad");
  const verified = row.tier === "verified";
  const failed = verified && row.exit_code !== null && row.exit_code !== undefined && row.exit_code !== 0;
  return [mark(verified ? `verified: ${row.verdict}` : row.verdict, verified ? "good" : "bad"), failed ? [" ", mark(`exit code ${row.exit_code}`, "bad")] : null];
}

/** Return bytes as people read them. */
export function bytesText(size) {
  if (size === null || size === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [size, 0];
  while (value >= 1000 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** Tell a screen reader what has happened. */
export function tell(text) {
  document.getElementById("told").textContent = text;
}
