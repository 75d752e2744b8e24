import assert from "node:assert/strict";
import { test } from "node:test";

import { sortedByUtf8 } from "../../../js_host/utf8_order.mjs";

test("order is by UTF-8 bytes, where JavaScript's own is by UTF-16 units", () => {
  const names = ["\u{1F600}", "\uFF5E", "b", "a", "", "ab", "ä"];
  assert.deepEqual(sortedByUtf8(names), ["", "a", "ab", "b", "ä", "\uFF5E", "\u{1F600}"]);
  assert.notDeepEqual([...names].sort(), sortedByUtf8(names));
});

test("the argument stays as it was", () => {
  const names = ["b", "a"];
  sortedByUtf8(names);
  assert.deepEqual(names, ["b", "a"]);
});
