// The pages that the last run has left behind, with their hashes, so that what comes out the same is not hashed again.
//
// A function does much of its work the same way whatever its input is: two thirds and more of the pages that it changes
// hold the same bytes after the next run. Comparing a page costs a quarter of hashing it. A hash is taken over from here
// only if all 4,096 bytes are equal, so nothing is believed. The guest sees none of this; a worker serves one submitter.

import { sameBytes } from "./host.mjs";
import { HASH_BYTES, PAGE_BYTES } from "./state_digest.mjs";

/** Most pages kept, 32 MiB: what a worker may take beside the image. Those that come later are hashed every time. */
export const MOST_PAGES = 8192;

/** Pages for which memory is taken at once. */
const SLAB_PAGES = 256;

const ENTRY_BYTES = PAGE_BYTES + HASH_BYTES;

export class LastPages {
  /** By page number: {page, hash}, both bytes of our own. */
  #kept = new Map();
  #slab = null;

  /** Hash of a page, if the same bytes were there after the run before; null where that is not known. */
  hashOf(number, page) {
    const kept = this.#kept.get(number);
    return kept !== undefined && sameBytes(kept.page, page) ? kept.hash : null;
  }

  /** Keep a copy of a page and of its hash, in place of what was kept of that number. */
  keep(number, page, hash) {
    const kept = this.#kept.get(number) ?? this.#room(number);
    kept?.page.set(page);
    kept?.hash.set(hash);
  }

  #room(number) {
    const used = this.#kept.size;
    if (used === MOST_PAGES) return undefined;
    if (used % SLAB_PAGES === 0) this.#slab = new Uint8Array(SLAB_PAGES * ENTRY_BYTES);
    const [page, hash] = [(used % SLAB_PAGES) * PAGE_BYTES, SLAB_PAGES * PAGE_BYTES + (used % SLAB_PAGES) * HASH_BYTES];
    const made = { page: this.#slab.subarray(page, page + PAGE_BYTES), hash: this.#slab.subarray(hash, hash + HASH_BYTES) };
    this.#kept.set(number, made);
    return made;
  }
}
