// Where the time of the graph page goes, in Chromium: `node tests/interop/graph_times.mjs [RECORDS]` prints a table.
// Processor time of the page's main thread by whose code it is: ours, the library's that draws, and the browser's with
// its graphics, which has no GPU where this runs without one. Not a test: it asserts nothing.

import { execFileSync } from "node:child_process";

import { chromium } from "playwright-core";

import { startPython } from "./python_server.mjs";

const RECORDS = process.argv[2] ?? "10000";
const { server, facts } = await startPython("serve_pages.py", RECORDS);
const executablePath = execFileSync("sh", ["-c", "command -v chromium || command -v chromium-browser || command -v google-chrome"]).toString().trim();
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage", "--use-gl=swiftshader", "--enable-unsafe-swiftshader"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
const session = await page.context().newCDPSession(page);
await session.send("Profiler.enable");
await session.send("Profiler.setSamplingInterval", { interval: 200 });

/** Return milliseconds of a profile by whose code the innermost script is; idle time left out. */
function byOwner({ nodes, samples, timeDeltas }) {
  const parents = new Map(), known = new Map(nodes.map((node) => [node.id, node]));
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node.id);
  const spent = { ours: 0, library: 0, browser: 0 }, functions = new Map();
  samples.forEach((id, index) => {
    const { functionName, url } = known.get(id).callFrame;
    if (["(idle)"].includes(functionName)) return;
    const ms = timeDeltas[index] / 1000;
    const owner = /sigma|graphology/.test(url) ? "library" : url.includes("/pages/") ? "ours" : "browser";
    spent[owner] += ms;
    const name = `${functionName || "(anonymous)"} ${owner}`;
    functions.set(name, (functions.get(name) ?? 0) + ms);
  });
  return { ...Object.fromEntries(Object.entries(spent).map(([name, ms]) => [name, Math.round(ms)])), top: [...functions].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([name, ms]) => `${name} ${Math.round(ms)}`) };
}

async function measured(name, what) {
  await session.send("Profiler.start");
  await page.evaluate(() => {
    window.longest = 0;
    window.frames = 0;
    window.counting = true;
    let last = performance.now();
    const frame = (now) => {
      window.longest = Math.max(window.longest, now - last);
      last = now;
      window.frames += 1;
      if (window.counting) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
  const began = Date.now();
  await what();
  const wall = Date.now() - began;
  const { frames, longest } = await page.evaluate(() => {
    window.counting = false;
    return { frames: window.frames, longest: Math.round(window.longest) };
  });
  const { profile } = await session.send("Profiler.stop");
  console.log(JSON.stringify({ step: name, wall, frames, longest, ...byOwner(profile) }));
}

await page.goto(facts.url);
await page.waitForSelector("main h1");
await measured("open and draw", async () => {
  await page.evaluate(() => { location.hash = "#/graph"; });
  await page.waitForFunction(() => document.querySelector(".drawing")?.dataset.drawn, null, { timeout: 300_000 });
});
// What was asked of the graphics waits in a queue: the mouse over the drawing reads from it, and so waits for its end.
await measured("until it is drawn", async () => {
  const area = await page.locator(".drawing").boundingBox();
  await page.mouse.move(area.x + 100, area.y + 100);
  await page.mouse.move(area.x + 120, area.y + 110);
});
const box = await page.locator(".drawing").boundingBox();
await measured("drag, 20 moves", async () => {
  await page.mouse.move(box.x + 300, box.y + 200);
  await page.mouse.down();
  for (let step = 1; step <= 20; step += 1) await page.mouse.move(box.x + 300 + 10 * step, box.y + 200 + 5 * step);
  await page.mouse.up();
});
await measured("zoom in by the button", async () => {
  await page.getByRole("button", { name: "Zoom in" }).click();
  await page.waitForTimeout(600);
});
await measured("choose a record", async () => {
  await page.getByRole("button", { name: /Choose record/ }).nth(3).click();
  await page.waitForSelector("text=chosen");
});
await measured("show all", async () => {
  await page.getByRole("button", { name: "Show all" }).click();
  await page.waitForSelector("h2:text-is('Records')");
});
if (process.env.PAGES_SCREENSHOTS) await page.screenshot({ path: `${process.env.PAGES_SCREENSHOTS}/graph-${RECORDS}.png` });
await browser.close();
server.stdin.end();
