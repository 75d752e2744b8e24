// What instrumentation costs: the same kernels without it, with its parts, and with all of it, in turns.
// Usage: node instrumentation.mjs PYODIDE_DIR [SITE_PACKAGES_WITH_NUMPY] [ROUNDS]
//
// Times are the best CPU time over all rounds; what the machine does besides mostly cancels out in the ratios.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const TITLES = { none: "none, ms", nan: "NaNs", fuel: "fuel", stack: "fuel, stack", all: "all" };
const VARIANTS = Object.keys(TITLES);
const REPEATS = "8";
const [pyodideDir, sitePackages = "-", rounds = "3"] = process.argv.slice(2);
const worker = fileURLToPath(new URL("instrumentation_worker.mjs", import.meta.url));

function measure(variant) {
  const args = [...process.execArgv, worker, pyodideDir, sitePackages, variant, REPEATS];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${variant}: ${stderr}`);
  return JSON.parse(stdout);
}

const runs = [];
for (let round = 0; round < Number(rounds); round++) runs.push(...VARIANTS.map(measure));

const of = (variant) => runs.filter((run) => run.variant === variant);
const best = (variant, kernel) => Math.min(...of(variant).map((run) => run.kernels[kernel].ms));
const names = Object.keys(runs[0].kernels);
const ratios = (variant, chosen) => chosen.map((name) => best(variant, name) / best("none", name));
const mean = (list) => Math.exp(list.reduce((sum, x) => sum + Math.log(x), 0) / list.length);
const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);

row("kernel", ...Object.values(TITLES), "units of fuel");
row(...Array(VARIANTS.length + 2).fill("---"));
for (const name of names) {
  const fuels = new Set(of("all").map((run) => run.kernels[name].fuel));
  const measured = VARIANTS.slice(1).map((variant) => ratios(variant, [name])[0].toFixed(2));
  row(name, best("none", name).toFixed(1), ...measured, [...fuels].join(" or "));
}
for (const [title, chosen] of [["Python", names.filter((name) => !name.startsWith("np"))], ["numpy", names.filter((name) => name.startsWith("np"))], ["all", names]]) {
  if (chosen.length > 0) row(`**${title}, geometric mean**`, "", ...VARIANTS.slice(1).map((variant) => mean(ratios(variant, chosen)).toFixed(3)), "");
}
console.log("");
for (const variant of VARIANTS.slice(1)) {
  const { modules, bytes_in, bytes_out, instrument_ms } = of(variant).reduce((one, other) => (one.instrument_ms < other.instrument_ms ? one : other));
  console.log(`- ${TITLES[variant]}: ${modules} modules, ${bytes_in} -> ${bytes_out} bytes (x${(bytes_out / bytes_in).toFixed(3)}) in ${instrument_ms.toFixed(0)} ms`);
}
// What counts the stack leaves other traces on it than what does not.
for (const variants of [["none", "nan", "fuel"], ["stack", "all"]]) {
  const states = new Set(runs.filter(({ variant }) => variants.includes(variant)).map(({ state }) => state));
  const titles = variants.map((variant) => (variant === "none" ? variant : TITLES[variant]));
  console.log(`- memory after all kernels (${titles.join("; ")}): ${states.size === 1 ? "the same" : "differs"}`);
}
