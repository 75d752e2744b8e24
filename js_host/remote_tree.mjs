// Inputs: trees and files that stay with the parent and are asked for piece by piece.
//
// A handle is an integer of the parent's; the parent checks every block against its CID before it answers.

/** Bytes asked for at a time: one leaf of the import profile, so each leaf crosses the pipe once. */
const PIECE_BYTES = 1 << 20;

/** Pieces kept: a few sequential readers do not ask twice. */
const CACHED_PIECES = 16;

export class RemoteTree {
  #parent;
  #pieces = new Map();

  /** @param {import("./frames.mjs").Parent} parent */
  constructor(parent) {
    this.#parent = parent;
  }

  lookup(handle, name) {
    const { header } = this.#parent.ask({ type: "lookup", handle, name });
    if (header.kind === "absent") return null;
    return { kind: header.kind, size: header.size, handle: header.handle, target: header.target };
  }

  list(handle) {
    return this.#parent.ask({ type: "list", handle }).header.names;
  }

  read(handle, position, length) {
    const index = Math.floor(position / PIECE_BYTES);
    const within = position - index * PIECE_BYTES;
    return this.#piece(handle, index).subarray(within, within + length);
  }

  /** Memory for one more piece: the oldest one's, since engines are slow to collect what lies outside their heap. */
  #room() {
    if (this.#pieces.size < CACHED_PIECES) return null;
    const [key, piece] = this.#pieces.entries().next().value;
    this.#pieces.delete(key);
    return new Uint8Array(piece.buffer);
  }

  #piece(handle, index) {
    const key = `${handle}/${index}`;
    let piece = this.#pieces.get(key);
    if (piece === undefined) {
      const request = { type: "read", handle, position: index * PIECE_BYTES, length: PIECE_BYTES };
      piece = this.#parent.ask(request, this.#room()).payload;
      this.#pieces.set(key, piece);
    }
    return piece;
  }
}
