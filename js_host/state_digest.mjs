// The state digest: one hash over the whole linear memory, in two levels.
//
//   page hash  = sha-256 of 4,096 bytes
//   digest     = sha-256 of "bacalhau-state/2\0", u32le number of pages, page hashes in order
//
// Two levels, so that a worker which knows its image's page hashes needs to hash only the pages that changed. A task
// changes little of many places: reference counts, here and there. So the pages are small.

import { sha256, writeSha256 } from "./host.mjs";

export const PAGE_BYTES = 4096;
export const HASH_BYTES = 32;

const PREFIX = new TextEncoder().encode("bacalhau-state/2\0");

/** One page of a memory, not copied. */
export const pageOf = (memory, number) => memory.subarray(number * PAGE_BYTES, (number + 1) * PAGE_BYTES);

/** Hashes of all pages of a memory (length a multiple of 4,096), one after the other. */
export function pageHashes(memory) {
  const pages = memory.length / PAGE_BYTES;
  const hashes = new Uint8Array(pages * HASH_BYTES);
  for (let page = 0; page < pages; page++) {
    writeSha256(pageOf(memory, page), hashes, page * HASH_BYTES);
  }
  return hashes;
}

/** Digest of a memory by its page hashes, lower-case hex. */
export function digestOfPages(hashes) {
  const count = new DataView(new ArrayBuffer(4));
  count.setUint32(0, hashes.length / HASH_BYTES, true);
  return sha256().update(PREFIX).update(new Uint8Array(count.buffer)).update(hashes).digest("hex");
}

/** Digest of a linear memory, lower-case hex. */
export const stateDigest = (memory) => digestOfPages(pageHashes(memory));
