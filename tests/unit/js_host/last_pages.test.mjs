import assert from "node:assert/strict";
import { test } from "node:test";

import { LastPages, MOST_PAGES } from "../../../js_host/last_pages.mjs";
import { HASH_BYTES, PAGE_BYTES, pageHashes } from "../../../js_host/state_digest.mjs";

const page = (byte) => new Uint8Array(PAGE_BYTES).fill(byte);

test("the hash of a page that is kept is known, and is a copy of what was given", () => {
  const [last, kept] = [new LastPages(), page(1)];
  const hash = pageHashes(kept);
  last.keep(7, kept, hash);
  kept.fill(0);
  hash.fill(0);
  assert.deepEqual(last.hashOf(7, page(1)), pageHashes(page(1)));
});

test("no other page's hash is known: not of another number, and not for one other byte", () => {
  const last = new LastPages();
  last.keep(7, page(1), pageHashes(page(1)));
  assert.equal(last.hashOf(8, page(1)), null);
  for (const at of [0, 1000, PAGE_BYTES - 1]) {
    const other = page(1);
    other[at] = 2;
    assert.equal(last.hashOf(7, other), null);
  }
});

test("what is kept of a number takes the place of what was", () => {
  const last = new LastPages();
  for (const byte of [1, 2]) last.keep(7, page(byte), pageHashes(page(byte)));
  assert.equal(last.hashOf(7, page(1)), null);
  assert.deepEqual(last.hashOf(7, page(2)), pageHashes(page(2)));
});

test("so many pages are kept and no more, each apart from the others", () => {
  const last = new LastPages();
  const hash = (number) => new Uint8Array(HASH_BYTES).fill(number % 251);
  for (let number = 0; number <= MOST_PAGES; number++) last.keep(number, page(number % 256), hash(number));
  for (let number = 0; number < MOST_PAGES; number++) {
    assert.deepEqual(last.hashOf(number, page(number % 256)), hash(number));
  }
  assert.equal(last.hashOf(MOST_PAGES, page(MOST_PAGES % 256)), null);
  last.keep(3, page(9), hash(9)); // there is room where it is
  assert.deepEqual(last.hashOf(3, page(9)), hash(9));
});
