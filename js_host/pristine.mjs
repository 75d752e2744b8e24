// The image beside the instance: what changed in a run, its digest, and the way back, with proof.
//
// After the last instruction of a run every page of memory is compared with the image. Pages that differ are hashed for
// the digest, or are found to hold what the last run left there (last_pages.mjs). They are copied back, and compared
// again; pages that were equal have not been touched since. So when `reset` is done, the whole memory has been compared
// equal, byte by byte, at the price of little more than one pass.

import { readExactly, sameBytes, writeSha256 } from "./host.mjs";
import { LastPages } from "./last_pages.mjs";
import { digestOfPages, HASH_BYTES, PAGE_BYTES, pageOf } from "./state_digest.mjs";

/** Compared at once, since most of memory has not changed; 64 KiB, what memory grows by. */
const BLOCK_BYTES = 65536;
const PAGES_OF_BLOCK = BLOCK_BYTES / PAGE_BYTES;

const NO_BLOCK = new Uint8Array(BLOCK_BYTES);

/**
 * Read an image's memory in blocks. Those that are empty, as their page hashes say, are not read; all of them are one
 * block, which stays in the processor's cache when memory is compared with it.
 *
 * @param {number} fd of the memory's file
 * @param {Uint8Array} hashes page hashes
 */
export function readBlocks(fd, hashes) {
  const empty = new Uint8Array(HASH_BYTES * PAGES_OF_BLOCK);
  for (let at = 0; at < empty.length; at += HASH_BYTES) writeSha256(pageOf(NO_BLOCK, 0), empty, at);
  const count = hashes.length / empty.length;
  const isEmpty = (i) => sameBytes(hashes.subarray(i * empty.length, (i + 1) * empty.length), empty);
  const blocks = [];
  while (blocks.length < count) {
    const from = blocks.length;
    let to = from;
    while (to < count && !isEmpty(to)) to++;
    if (to > from) blocks.push(...blocksOf(readExactly(fd, (to - from) * BLOCK_BYTES, from * BLOCK_BYTES)));
    else blocks.push(NO_BLOCK);
  }
  return blocks;
}

const blocksOf = (memory) => Array.from({ length: memory.length / BLOCK_BYTES }, (_, block) =>
  memory.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES));

export class PristineMemory {
  #blocks;
  #hashes;
  /** Views of the image's pages, made when they are first needed: mostly the same pages change, and views cost. */
  #pages = [];
  /** Views of the instance's blocks and pages; made again when its buffer is another one, which it is after growing. */
  #seen = { buffer: null, blocks: [], pages: [] };
  #last = new LastPages();
  /** Hashes of all pages after the run, and the numbers of those that had to be hashed. */
  #run = { hashes: null, hashed: [] };

  /**
   * @param {Uint8Array[]} blocks the image's memory, see `readBlocks`; kept
   * @param {Uint8Array} hashes its page hashes; kept
   */
  constructor(blocks, hashes) {
    this.#blocks = blocks;
    this.#hashes = hashes;
  }

  /** Bytes of the image. */
  get length() {
    return this.#blocks.length * BLOCK_BYTES;
  }

  /**
   * Lay the image over a memory of its size. Most of its empty blocks are empty there too, and are not written to; but
   * all are looked at, since a module that is loaded may write anywhere.
   */
  layOver(memory) {
    this.#view(memory).blocks.forEach((block, i) => {
      const wanted = this.#blocks[i];
      if (wanted !== NO_BLOCK || !sameBytes(block, NO_BLOCK)) block.set(wanted);
    });
  }

  /** Numbers, ascending, of the pages in which memory is not the image's, those that it has grown by included. */
  compare(memory) {
    const changed = [];
    const { blocks } = this.#view(memory);
    for (let i = 0; i < blocks.length; i++) {
      const before = this.#blocks[i];
      if (before !== undefined && sameBytes(blocks[i], before)) continue;
      for (let number = i * PAGES_OF_BLOCK; number < (i + 1) * PAGES_OF_BLOCK; number++) {
        const isSame = before !== undefined && sameBytes(this.#seenPage(number), this.#page(number));
        if (!isSame) changed.push(number);
      }
    }
    return changed;
  }

  /** State digest of an instance's memory, in which the pages `changed` are not the image's. */
  digest(memory, changed) {
    this.#view(memory);
    const hashes = new Uint8Array((memory.length / PAGE_BYTES) * HASH_BYTES);
    hashes.set(this.#hashes);
    const hashed = changed.filter((number) => {
      const page = this.#seenPage(number);
      const known = this.#last.hashOf(number, page);
      if (known === null) writeSha256(page, hashes, number * HASH_BYTES);
      else hashes.set(known, number * HASH_BYTES);
      return known === null;
    });
    this.#run = { hashes, hashed };
    return digestOfPages(hashes);
  }

  /**
   * Put the image back in the pages `changed`; tells whether it is there now. Nothing of the guest may have run since
   * `digest`: pages that were hashed there are kept with their hashes first, for the next run.
   */
  reset(memory, changed) {
    if (memory.length !== this.length) return false;
    this.#keepHashed(memory);
    let isBack = true;
    // Compared while they are in the processor's cache; no later copy reaches beyond its own run.
    for (const [first, end] of runsOf(changed)) {
      const wanted = this.#span(first, end);
      memory.set(wanted, first * PAGE_BYTES);
      isBack &&= sameBytes(memory.subarray(first * PAGE_BYTES, end * PAGE_BYTES), wanted);
    }
    return isBack;
  }

  #keepHashed(memory) {
    this.#view(memory);
    const { hashes, hashed } = this.#run;
    for (const number of hashed) {
      this.#last.keep(number, this.#seenPage(number), hashes.subarray(number * HASH_BYTES, (number + 1) * HASH_BYTES));
    }
    this.#run = { hashes: null, hashed: [] };
  }

  #page(number) {
    return (this.#pages[number] ??= this.#span(number, number + 1));
  }

  #seenPage(number) {
    const { blocks, pages } = this.#seen;
    return (pages[number] ??= pageOf(blocks[Math.floor(number / PAGES_OF_BLOCK)], number % PAGES_OF_BLOCK));
  }

  /** The image's bytes from page `first` to before page `end`, which is in the same block. */
  #span(first, end) {
    const from = first % PAGES_OF_BLOCK;
    return this.#blocks[Math.floor(first / PAGES_OF_BLOCK)].subarray(from * PAGE_BYTES, (from + end - first) * PAGE_BYTES);
  }

  #view(memory) {
    if (this.#seen.buffer !== memory.buffer) this.#seen = { buffer: memory.buffer, blocks: blocksOf(memory), pages: [] };
    return this.#seen;
  }
}

/** Runs of neighbours in ascending page numbers, none of them over the end of a block: [first, the one after the last]. */
function runsOf(numbers) {
  const runs = [];
  for (const number of numbers) {
    const run = runs.at(-1);
    if (run?.[1] === number && number % PAGES_OF_BLOCK !== 0) run[1] = number + 1;
    else runs.push([number, number + 1]);
  }
  return runs;
}

/**
 * Put back what an instance keeps outside its memory, and look whether it is as the image has it.
 *
 * The guest's files need no look: the tree is made anew for every task. Timers do not exist.
 *
 * @param {import("./boot.mjs").Instance} instance
 * @param {object} state of the image
 * @param {import("./world.mjs").World} world
 * @returns {string | null} why the instance cannot be used again, null if it can
 */
export function resetInstance({ Module, globals, tables, table, references }, state, world) {
  if (world.gate.wasTried) return "JavaScript was asked for";
  if (world.hasLinked) return "a module was loaded or a symbol looked up";
  if (table.hasGrown) return "the table of functions has grown";
  for (const slot of table.changed) Module.setWasmTableEntry(slot, table.before(slot));
  const isBack = table.changed.every((slot) => table.get(slot) === table.before(slot));
  if (!isBack) return "the table of functions is another";
  table.begin();
  const { freeTableIndexes: free } = Module;
  free.splice(0, free.length, ...state.table.free);
  for (const [name, value] of Object.entries(state.globals)) globals[name].value = value;
  for (const [name, held] of Object.entries(references)) {
    if (tables[name].length !== held.length) return "a table of references has grown";
    if (!held.every((value, i) => tables[name].get(i) === value)) return "a table of references is another";
  }
  if (Object.keys(Module.LDSO.loadedLibsByName).length !== state.libraries.length + 1) return "another module is loaded";
  return null;
}
