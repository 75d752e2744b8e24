// Copies so many bytes from one array to another, all of them touched before, and prints the median time in seconds.
// Usage: node memcpy.mjs BYTES TIMES

const [bytes, times] = process.argv.slice(2).map(Number);
const [from, to] = [new Uint8Array(bytes).fill(1), new Uint8Array(bytes).fill(2)];
const taken = Array.from({ length: times }, () => {
  const begin = performance.now();
  to.set(from);
  return (performance.now() - begin) / 1000;
});
taken.sort((one, other) => one - other);
process.stdout.write(`${taken[Math.floor(times / 2)]}\n`);
