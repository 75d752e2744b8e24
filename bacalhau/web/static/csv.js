// A table of text as RFC 4180 has it: quoted fields, doubled quotes, line breaks in fields.

import { h } from "/pages/dom.js";

const ROWS = 1000;

/** Return rows of fields; at most `limit` rows are read. */
export function parseCsv(text, separator, limit = Infinity) {
  const rows = [];
  let [row, field, quoted] = [[], "", false];
  for (let at = 0; at < text.length && rows.length < limit; at += 1) {
    const character = text[at];
    if (quoted) {
      if (character !== '"') field += character;
      else if (text[at + 1] === '"') [field, at] = [`${field}"`, at + 1];
      else quoted = false;
    } else if (character === '"' && field === "") quoted = true;
    else if (character === separator) [row, field] = [[...row, field], ""];
    else if (character === "\n" || character === "\r") {
      if (character === "\r" && text[at + 1] === "\n") at += 1;
      rows.push([...row, field]);
      [row, field] = [[], ""];
    } else field += character;
  }
  if (rows.length < limit && (row.length > 0 || field !== "")) rows.push([...row, field]);
  return rows;
}

export function csvTable(text, separator) {
  const [head = [], ...rows] = parseCsv(text, separator, ROWS + 1);
  const note = rows.length === ROWS ? `The first ${ROWS} rows` : `${rows.length} ${rows.length === 1 ? "row" : "rows"}`;
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Table" },
    h("table", null, h("caption", null, note),
      h("thead", null, h("tr", null, head.map((title) => h("th", { scope: "col" }, title)))),
      h("tbody", null, rows.map((row) => h("tr", null, row.map((value) => h("td", { class: value !== "" && Number.isFinite(Number(value)) ? "number" : null }, value)))))));
}
