// Frames between the worker and its parent: two pipes, synchronous, one request in flight.
//
// A frame is u32le header length, u32le payload length, header (JSON object with a `type`), payload (raw bytes).
// Data travels in the payload, never inside the header; so JSON, which every engine has built in, is enough.

import { readExactly, writeAll } from "./host.mjs";

const MAX_HEADER_BYTES = 64 << 20;
const MAX_PAYLOAD_BYTES = 16 << 20;
/** Payloads up to this size are written together with their header: one call of the system instead of two. */
const SMALL_BYTES = 4096;

const NOTHING = new Uint8Array(0);
const [encoder, decoder] = [new TextEncoder(), new TextDecoder("utf-8", { fatal: true })];

/** A pair of pipe descriptors that speaks frames. */
export class Parent {
  #readFd;
  #writeFd;

  constructor(readFd, writeFd) {
    this.#readFd = readFd;
    this.#writeFd = writeFd;
  }

  /** Send one frame. */
  send(header, payload = NOTHING) {
    const head = encoder.encode(JSON.stringify(header));
    const isSmall = payload.length <= SMALL_BYTES;
    const frame = new Uint8Array(8 + head.length + (isSmall ? payload.length : 0));
    const lengths = new DataView(frame.buffer);
    lengths.setUint32(0, head.length, true);
    lengths.setUint32(4, payload.length, true);
    frame.set(head, 8);
    if (isSmall) frame.set(payload, 8 + head.length);
    writeAll(this.#writeFd, frame);
    if (!isSmall) writeAll(this.#writeFd, payload);
  }

  /** Wait for one frame. `room`: memory for its payload, which is taken if it is large enough. */
  receive(room = null) {
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
