// The files of the runtime that Python reads: its standard library and our own modules. Provider for handed_fs.mjs.

const LIBRARY = "/lib/python314.zip";
const MODULES = "/lib/python3.14";

export class RuntimeFiles {
  #files = new Map();

  /**
   * @param {Uint8Array} library bytes of python_stdlib.zip
   * @param {Record<string, string>} modules text of the guest modules, by file name
   */
  constructor(library, modules) {
    this.#files.set(LIBRARY, library);
    for (const [name, text] of Object.entries(modules)) {
      this.#files.set(`${MODULES}/${name}`, new TextEncoder().encode(text));
    }
  }

  /** Yield [path, entry] of every file. */
  *entries() {
    for (const [path, bytes] of this.#files) {
      yield [path, { kind: "file", size: bytes.length, handle: bytes, target: null }];
    }
  }

  read(bytes, position, length) {
    return bytes.subarray(position, position + length);
  }
}
