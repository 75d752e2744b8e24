// Webs: the assignments to a local that can reach the same reads, joined where paths of control meet.
//
// Compilers use one local for many unrelated values; a web is one of these values. For each web of a float local this
// decides, once the function was walked, whether loose NaNs are made canonical where they are assigned, or where they
// are read, or nowhere because no read observes them.

/** Values as in `nan_plan.mjs`: 0 and below have determined bits. */
const [EXACT, PLAIN] = [0, -1];

/** A guess of how often a loop goes round, to weigh places inside against places outside. */
const ROUNDS = 8;
const weight = (loops) => ROUNDS ** Math.min(loops, 6);

export class Webs {
  #parent = [];
  #facts = [];
  #dense = [];
  #shapes = [];
  #current = new Int32Array(0);

  /** Begin a function. `shapes`: FLOAT of every local, NONE if it is not followed; the first `params` are arguments. */
  reset(shapes, params) {
    this.#parent = [];
    this.#facts = [];
    this.#shapes = shapes;
    this.#dense = [];
    let followed = 0;
    for (const shape of shapes) this.#dense.push(shape > 0 ? followed++ : -1);
    this.#current = new Int32Array(followed);
    this.#dense.forEach((place, local) => {
      // An argument may be any NaN; other locals begin as zero.
      if (place >= 0) this.#current[place] = this.#add(local < params ? EXACT : PLAIN, 0);
    });
  }

  /** The web that reading this local would read, or -1 if the local is not followed. */
  current(local) {
    const place = this.#dense[local];
    return place < 0 ? -1 : this.#current[place];
  }

  shape(local) {
    return this.#shapes[local];
  }

  /** The local is assigned. `weak`: what it held before may still be read (from a handler). */
  define(local, value, loops, weak) {
    const place = this.#dense[local];
    const web = this.#add(value, loops);
    if (weak) this.#unite(web, this.#current[place]);
    this.#current[place] = web;
  }

  /** A read of this web is observed. */
  observe(web, value) {
    this.#facts[web].observed.push(value);
  }

  save() {
    return this.#current.slice();
  }

  restore(saved) {
    this.#current = saved.slice();
  }

  /** Join the present state into one saved before (null if there is none) and return it. */
  join(saved) {
    return this.joinSaved(saved, this.#current);
  }

  joinSaved(saved, other) {
    if (saved === null) return other.slice();
    for (let i = 0; i < saved.length; i++) this.#unite(saved[i], other[i]);
    return saved;
  }

  /**
   * Decide for all webs.
   *
   * @param {Array} values the function's loose values
   * @param {(value: number) => void} observe tells that a value is observed; may call back `observe` of this class
   * @param {(value: number) => void} canonicalAtRead makes canonical what this read gives
   */
  settle(values, observe, canonicalAtRead) {
    const groups = this.#groups();
    this.#spreadExactness(groups, values);
    // A web whose assignments become canonical may observe reads of another web: go on until nothing changes.
    for (let changed = true; changed; ) {
      changed = false;
      for (const group of groups.values()) {
        if (group.atAssignments || !this.#mustAssignCanonical(group, values)) continue;
        group.atAssignments = true;
        changed = true;
        for (const { value } of group.assigned) observe(value);
      }
    }
    for (const group of groups.values()) {
      if (!group.atAssignments) for (const value of this.#observed(group)) canonicalAtRead(value);
    }
  }

  #add(value, loops) {
    this.#parent.push(this.#parent.length);
    return this.#facts.push({ value, loops, observed: [] }) - 1;
  }

  #find(web) {
    const parent = this.#parent;
    while (parent[web] !== web) web = parent[web] = parent[parent[web]];
    return web;
  }

  #unite(one, other) {
    if (one === other) return;
    const [a, b] = [this.#find(one), this.#find(other)];
    if (a !== b) this.#parent[Math.max(a, b)] = Math.min(a, b);
  }

  #groups() {
    const groups = new Map();
    this.#facts.forEach((fact, web) => {
      const root = this.#find(web);
      if (!groups.has(root)) groups.set(root, { exact: false, atAssignments: false, assigned: [], facts: [] });
      const group = groups.get(root);
      group.facts.push(fact);
      if (fact.value === EXACT) group.exact = true;
      else if (fact.value !== PLAIN) group.assigned.push(fact);
    });
    return groups;
  }

  /** A web into which an exact value may flow through other locals is exact as well. */
  #spreadExactness(groups, values) {
    const isExact = (value) => {
      if (value <= 0) return value === EXACT;
      const { web, at, one, other } = values[value];
      if (web >= 0) return groups.get(this.#find(web)).exact;
      return at < 0 && (isExact(one) || isExact(other));
    };
    for (let changed = true; changed; ) {
      changed = false;
      for (const group of groups.values()) {
        if (group.exact || !group.assigned.some(({ value }) => isExact(value))) continue;
        group.exact = changed = true;
      }
    }
  }

  #observed(group) {
    return group.facts.flatMap(({ observed }) => observed);
  }

  #mustAssignCanonical(group, values) {
    const reads = new Set(this.#observed(group));
    if (reads.size === 0) return false;
    if (group.exact) return true;
    let [readsWeigh, assignedWeigh] = [0, 0];
    for (const value of reads) readsWeigh += weight(values[value].loops);
    for (const { loops } of group.assigned) assignedWeigh += weight(loops);
    return readsWeigh >= assignedWeigh;
  }
}
