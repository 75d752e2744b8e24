// The one source of randomness: a ChaCha20 key stream (RFC 8439, nonce zero, counter from zero).
//
// Written out because engines differ in which stream ciphers their crypto module has, and because these bytes are part
// of every result.

const CONSTANTS = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574];

const rotate = (x, n) => (x << n) | (x >>> (32 - n));

function quarterRound(s, a, b, c, d) {
  s[a] = (s[a] + s[b]) | 0;
  s[d] = rotate(s[d] ^ s[a], 16);
  s[c] = (s[c] + s[d]) | 0;
  s[b] = rotate(s[b] ^ s[c], 12);
  s[a] = (s[a] + s[b]) | 0;
  s[d] = rotate(s[d] ^ s[a], 8);
  s[c] = (s[c] + s[d]) | 0;
  s[b] = rotate(s[b] ^ s[c], 7);
}

/** One block of 64 key-stream bytes for a 16-word state. */
export function chacha20Block(state) {
  const s = state.slice();
  for (let round = 0; round < 10; round++) {
    quarterRound(s, 0, 4, 8, 12);
    quarterRound(s, 1, 5, 9, 13);
    quarterRound(s, 2, 6, 10, 14);
    quarterRound(s, 3, 7, 11, 15);
    quarterRound(s, 0, 5, 10, 15);
    quarterRound(s, 1, 6, 11, 12);
    quarterRound(s, 2, 7, 8, 13);
    quarterRound(s, 3, 4, 9, 14);
  }
  const out = new DataView(new ArrayBuffer(64));
  for (let i = 0; i < 16; i++) out.setUint32(4 * i, (s[i] + state[i]) >>> 0, true);
  return new Uint8Array(out.buffer);
}

export class EntropyStream {
  #state = new Int32Array(16);
  #block = new Uint8Array(64);
  #used = 64;
  /** Bytes taken since the stream began. */
  drawn = 0;

  /** @param {Uint8Array} key 32 bytes */
  constructor(key) {
    this.reset(key);
  }

  /** Begin the stream of another key. */
  reset(key) {
    if (key.length !== 32) throw new RangeError("a ChaCha20 key has 32 bytes");
    const words = new DataView(key.buffer, key.byteOffset, 32);
    this.#state.fill(0);
    this.#state.set(CONSTANTS);
    for (let i = 0; i < 8; i++) this.#state[4 + i] = words.getInt32(4 * i, true);
    this.#used = 64;
    this.drawn = 0;
  }

  /** Go to where the stream of this key is when `drawn` bytes have been taken. */
  resume(drawn) {
    const blocks = Math.floor(drawn / 64);
    this.#state[12] = blocks % 2 ** 32 | 0;
    this.#state[13] = Math.floor(blocks / 2 ** 32);
    this.#used = 64;
    this.drawn = blocks * 64;
    this.fill(new Uint8Array(drawn % 64));
  }

  /** Overwrite `bytes` with the next bytes of the stream. */
  fill(bytes) {
    this.drawn += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      if (this.#used === 64) this.#refill();
      const n = Math.min(64 - this.#used, bytes.length - at);
      bytes.set(this.#block.subarray(this.#used, this.#used + n), at);
      this.#used += n;
      at += n;
    }
  }

  #refill() {
    this.#block = chacha20Block(this.#state);
    this.#used = 0;
    // 64-bit counter: 2**70 bytes, never exhausted.
    this.#state[12] = (this.#state[12] + 1) | 0;
    if (this.#state[12] === 0) this.#state[13] = (this.#state[13] + 1) | 0;
  }
}
