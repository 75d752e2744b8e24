// Frames between the worker and its parent: two pipes, synchronous, one request in flight.
//
// A frame is u32le header length, u32le payload length, header (JSON object with a `type`), payload (raw bytes).
// Data travels in the payload, never inside the header; so JSON, which every engine has built in, is enough.

import { readExactly, writeAll } from "./host.mjs";

const MAX_HEADER_BYTES = 64 << 20;
const MAX_PAYLOAD_BYTES = 16 << 20;
/** Frames up to this size are gathered while they are held back, and written together. */
const HELD_BYTES = 65536;

const NOTHING = new Uint8Array(0);
const [encoder, decoder] = [new TextEncoder(), new TextDecoder("utf-8", { fatal: true })];

/** A pair of pipe descriptors that speaks frames. */
export class Parent {
  #readFd;
  #writeFd;
  #isHolding = false;
  #room = new Uint8Array(HELD_BYTES);
  #held = this.#room.subarray(0, 0);

  constructor(readFd, writeFd) {
    this.#readFd = readFd;
    this.#writeFd = writeFd;
  }

  /** Send one frame; with those that were held back before it, unless it is held back too. */
  send(header, payload = NOTHING) {
    const head = encoder.encode(JSON.stringify(header));
    const lengths = new Uint8Array(8);
    const view = new DataView(lengths.buffer);
    view.setUint32(0, head.length, true);
    view.setUint32(4, payload.length, true);
    const size = lengths.length + head.length + payload.length;
    if (this.#held.length + size > HELD_BYTES) this.#flush();
    if (size > HELD_BYTES) {
      for (const part of [lengths, head, payload]) writeAll(this.#writeFd, part);
    } else {
      this.#hold(lengths, head, payload);
      if (!this.#isHolding) this.#flush();
    }
  }

  /** Hold small frames back until `release`: whoever reads them is woken once. */
  hold() {
    this.#isHolding = true;
  }

  /** Send what is held back, and hold nothing back any more. */
  release() {
    this.#isHolding = false;
    this.#flush();
  }

  #hold(...parts) {
    for (const part of parts) {
      this.#room.set(part, this.#held.length);
      this.#held = this.#room.subarray(0, this.#held.length + part.length);
    }
  }

  #flush() {
    if (this.#held.length > 0) writeAll(this.#writeFd, this.#held);
    this.#held = this.#room.subarray(0, 0);
  }

  /** Wait for one frame. `room`: memory for its payload, which is taken if it is large enough. */
  receive(room = null) {
    this.#flush();
    const lengths = new DataView(readExactly(this.#readFd, 8).buffer);
    const [head, body] = [lengths.getUint32(0, true), lengths.getUint32(4, true)];
    if (head > MAX_HEADER_BYTES || body > MAX_PAYLOAD_BYTES) throw new RangeError("frame is too large");
    const header = JSON.parse(decoder.decode(readExactly(this.#readFd, head)));
    return { header, payload: readExactly(this.#readFd, body, null, room) };
  }

  /** Ask and wait for the answer. A parent that cannot answer ends this process instead. */
  ask(header, room = null) {
    this.send(header);
    return this.receive(room);
  }
}
