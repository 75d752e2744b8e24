// The state digest: one hash over the whole linear memory, in two levels.
//
//   page hash  = sha-256 of 65,536 bytes
//   digest     = sha-256 of "bacalhau-state/1\0", u32le number of pages, page hashes in order
//
// Two levels, so that a worker which knows its image's page hashes needs to hash only the pages that changed.

import { sha256 } from "./host.mjs";

export const PAGE_BYTES = 65536;

const PREFIX = new TextEncoder().encode("bacalhau-state/1\0");

/** Digest of a linear memory (length a multiple of 64 KiB), lower-case hex. */
export function stateDigest(memory) {
  const pages = memory.length / PAGE_BYTES;
  const count = new DataView(new ArrayBuffer(4));
  count.setUint32(0, pages, true);
  const whole = sha256().update(PREFIX).update(new Uint8Array(count.buffer));
  for (let page = 0; page < pages; page++) {
    whole.update(sha256().update(memory.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)).digest());
  }
  return whole.digest("hex");
}
