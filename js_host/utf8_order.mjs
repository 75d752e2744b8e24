// Order of names: by their UTF-8 bytes, as in content-addressed directories. (JavaScript's own order is by UTF-16 units.)

const encoder = new TextEncoder();

/** Sort names by UTF-8 bytes; returns a new array. */
export function sortedByUtf8(names) {
  return names
    .map((name) => [encoder.encode(name), name])
    .sort(([a], [b]) => compareBytes(a, b))
    .map(([, name]) => name);
}

function compareBytes(a, b) {
  const n = Math.min(a.length, b.length);
  for (let i = 0; i < n; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}
