// What the worker takes from Node, taken once, before `lockdown.mjs` hides the rest.
//
// Every use of the outside world goes through this file: reading and writing the handed-over descriptors, hashing,
// inflating and exiting. Nothing else in js_host imports a Node module.

import { Buffer } from "node:buffer";
import * as crypto from "node:crypto";
import { readSync, writeSync } from "node:fs";
import { inflateRawSync } from "node:zlib";

const { exit, argv, hrtime } = process;
const { compare } = Buffer;
const { hexWrite } = Buffer.prototype;
const { hash: oneCall } = crypto;

/**
 * Read exactly `length` bytes from a descriptor; at `position` if it is a file, null if it is a pipe.
 *
 * `room`: where they go, at the front, if it is large enough; new memory otherwise.
 */
export function readExactly(fd, length, position = null, room = null) {
  const bytes = room?.length >= length ? room.subarray(0, length) : new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const n = readSync(fd, bytes, at, length - at, position === null ? null : position + at);
    if (n === 0) throw new Error(`descriptor ${fd} ended after ${at} of ${length} bytes`);
    at += n;
  }
  return bytes;
}

/** Whether two byte arrays of the same length are equal. */
export const sameBytes = (one, other) => compare(one, other) === 0;

const sha256Text = oneCall
  ? (bytes) => oneCall("sha256", bytes, "hex")
  : (bytes) => crypto.createHash("sha256").update(bytes).digest("hex");

/** Write the sha-256 of bytes to a place in others: by way of text, which costs less than a new Buffer for each hash. */
export const writeSha256 = (bytes, into, at) => Reflect.apply(hexWrite, into, [sha256Text(bytes), at, 32]);

/** Write all bytes to a pipe. */
export function writeAll(fd, bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at);
}

/** Begin a sha-256; has update(bytes) and digest("hex" or nothing for bytes). */
export const sha256 = () => crypto.createHash("sha256");

/** Inflate a zip member to exactly `size` bytes. */
export function inflate(bytes, size) {
  const out = inflateRawSync(bytes, { maxOutputLength: Math.max(size, 1) });
  if (out.length !== size) throw new Error(`member inflates to ${out.length} bytes, not ${size}`);
  return new Uint8Array(out.buffer, out.byteOffset, out.length);
}

/** Host milliseconds since an arbitrary start: for reports of where time went, never for the guest. */
export const hostMilliseconds = () => Number(hrtime.bigint() / 1000n) / 1000;

/** End the process at once. */
export const exitProcess = (code) => exit(code);

/** Arguments after the script's name. */
export const processArguments = argv.slice(2);
