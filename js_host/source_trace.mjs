// What a run has asked about the function's own directory: all that its state can depend on there.
//
// A provider for handed_fs.mjs in front of another one. Two functions that answer the same questions the same have led
// Python to the same state, whatever else they hold; so a checkpoint of one is good for the other (checkpoint.mjs).

/** Most questions that are kept, and characters of their paths; a run with more of them is good for nobody else. */
const MOST_QUESTIONS = 4_000;
const MOST_CHARACTERS = 100_000;

export class SourceTrace {
  #tree;
  #paths = new Map();
  #questions = new Map();
  #characters = 0;

  /** @param {import("./source_tree.mjs").SourceTree} tree */
  constructor(tree) {
    this.#tree = tree;
    this.#paths.set(tree.root, "");
  }

  get root() {
    return this.#tree.root;
  }

  /** [what was asked, path], each once, in order; null if there were too many. */
  get questions() {
    return this.#isFull ? null : [...this.#questions.values()];
  }

  /** Take over what was asked before a checkpoint. */
  take(questions) {
    for (const [kind, path] of questions) this.#note(kind, path);
  }

  lookup(handle, name) {
    const path = this.#paths.get(handle) + name;
    this.#note("lookup", path);
    const entry = this.#tree.lookup(handle, name);
    if (entry === null) return null;
    this.#paths.set(entry.handle, entry.kind === "directory" ? `${path}/` : path);
    const note = () => this.#note("size", path);
    // Whoever lists a directory looks at every entry and not at its size.
    return Object.defineProperty({ ...entry }, "size", { get: () => (note(), entry.size) });
  }

  list(handle) {
    this.#note("list", this.#paths.get(handle));
    return this.#tree.list(handle);
  }

  read(handle, position, length) {
    this.#note("read", this.#paths.get(handle));
    return this.#tree.read(handle, position, length);
  }

  get #isFull() {
    return this.#questions.size > MOST_QUESTIONS || this.#characters > MOST_CHARACTERS;
  }

  #note(kind, path) {
    const key = `${kind} ${path}`;
    if (this.#isFull || this.#questions.has(key)) return;
    this.#questions.set(key, [kind, path]);
    this.#characters += path.length;
  }
}
