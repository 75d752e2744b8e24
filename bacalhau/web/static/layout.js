// Where records are drawn: parents to the left of what came of them, each layer from top to bottom. Pure.

/** Return {cid: {x, y}}. edges: [parent, child]; a circle, which no record can be in, does not loop here. */
export function layered(cids, edges) {
  const children = new Map(cids.map((cid) => [cid, []]));
  const waiting = new Map(cids.map((cid) => [cid, 0]));
  for (const [parent, child] of edges) {
    children.get(parent).push(child);
    waiting.set(child, waiting.get(child) + 1);
  }
  const layer = new Map();
  let now = cids.filter((cid) => waiting.get(cid) === 0);
  for (const cid of now) layer.set(cid, 0);
  while (now.length > 0) {
    const next = [];
    for (const cid of now) {
      for (const child of children.get(cid)) {
        layer.set(child, Math.max(layer.get(child) ?? 0, layer.get(cid) + 1));
        waiting.set(child, waiting.get(child) - 1);
        if (waiting.get(child) === 0) next.push(child);
      }
    }
    now = next;
  }
  const parents = new Map(cids.map((cid) => [cid, []]));
  for (const [parent, child] of edges) parents.get(child).push(parent);
  const layers = [];
  for (const cid of cids) (layers[layer.get(cid) ?? 0] ??= []).push(cid);
  const places = {};
  // A layer of thousands is folded into columns, or it would be a line.
  const height = Math.max(1, Math.ceil(Math.sqrt(cids.length) * 1.5));
  const columns = layers.map((row) => Math.ceil(row.length / height));
  const rows = Math.max(...layers.map((row) => Math.min(row.length, height)));
  // All of it about twice as wide as it is high, however deep it is.
  const wide = Math.max(2 * rows, 2) / Math.max(1, columns.reduce((sum, count) => sum + count + 1, 0));
  let left = 0;
  layers.forEach((row, x) => {
    // Near their parents, so that edges cross less: the mean of where those are.
    const wanted = new Map(row.map((cid, index) => {
      const known = parents.get(cid).filter((parent) => places[parent]).map((parent) => places[parent].y);
      return [cid, known.length > 0 ? known.reduce((sum, y) => sum + y, 0) / known.length : index - row.length / 2];
    }));
    row.sort((a, b) => wanted.get(a) - wanted.get(b));
    row.forEach((cid, index) => {
      const column = Math.floor(index / height);
      const filled = Math.min(height, row.length - column * height);
      places[cid] = { x: (left + column) * wide, y: (index % height) - filled / 2 };
    });
    left += columns[x] + 1;
  });
  return places;
}

/** Return what finds all that a record came of and that came of it, as a Set with itself; reads the edges once. */
export function lineages(edges) {
  const ways = [0, 1].map((from) => {
    const next = new Map();
    for (const edge of edges) (next.get(edge[from]) ?? next.set(edge[from], []).get(edge[from])).push(edge[1 - from]);
    return next;
  });
  const reach = (cid, next) => {
    const found = new Set([cid]), todo = [cid];
    while (todo.length > 0) for (const one of next.get(todo.pop()) ?? []) if (!found.has(one)) [found.add(one), todo.push(one)];
    return found;
  };
  return (cid) => new Set(ways.flatMap((next) => [...reach(cid, next)]));
}
