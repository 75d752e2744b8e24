// The pages in a real Chromium: what they show, that nothing of a stranger's becomes markup, keyboard, names, contrast.
// PAGES_SCREENSHOTS=DIR keeps a picture of each page.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startPython } from "./python_server.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const required = (process.env.BACALHAU_REQUIRE ?? "").split(",").includes("chromium");
const binary = ["chromium", "chromium-browser", "google-chrome"].map(found).find(Boolean);
const installed = existsSync(`${here}node_modules/playwright-core`) && binary;
const skip = installed || required ? false : "needs chromium: apt-get install chromium, and make interop";
const RECORDS = Number(process.env.PAGES_RECORDS ?? 1000);

let server, facts, browser, context, errors;

function found(name) {
  try {
    return execFileSync("sh", ["-c", `command -v ${name}`]).toString().trim();
  } catch {
    return "";
  }
}

before(async () => {
  if (skip) return;
  const { chromium } = await import("playwright-core");
  ({ server, facts } = await startPython("serve_pages.py", String(RECORDS)));
  browser = await chromium.launch({ executablePath: binary, args: ["--no-sandbox", "--disable-dev-shm-usage", "--use-gl=swiftshader", "--enable-unsafe-swiftshader"] });
  // One for all tests, as a person has: each of its own would bring six connections, and the server has 64 places.
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
});

after(async () => {
  await browser?.close();
  server?.stdin.end();
});

/** Open a page with the token, watch for errors in it, and go to a place. */
async function open(place, options = {}) {
  const page = await context.newPage();
  await page.emulateMedia(options);
  errors = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(facts.url).origin) && !/^(blob|data):/.test(request.url())) errors.push(`asks ${request.url()}`);
  });
  await page.goto(facts.url);
  await page.waitForSelector("main h1");
  if (place) await go(page, place);
  return page;
}

async function go(page, place) {
  await page.evaluate((hash) => {
    window.shownAgain = false;
    document.getElementById("main").addEventListener("shown", () => { window.shownAgain = true; }, { once: true });
    location.hash = hash;
  }, place);
  await page.waitForFunction(() => window.shownAgain);
}

async function close(page, name) {
  if (process.env.PAGES_SCREENSHOTS) await page.screenshot({ path: `${process.env.PAGES_SCREENSHOTS}/${name}.png`, fullPage: false });
  assert.equal(await page.title() === "owned", false);
  // GPU drivers of a machine without one say that they are slow.
  assert.deepEqual(errors.filter((text) => !/GPU stall|swiftshader|WebGL/i.test(text)), []);
  await page.close();
}

test("jobs, and the token leaves the address", { skip }, async () => {
  const page = await open();
  assert.match(page.url(), /#\/jobs$/);
  assert.equal(await page.locator("main h1").textContent(), "Jobs");
  assert.ok((await page.locator("tbody tr").count()) >= 3);
  assert.match(await page.locator("tbody").textContent(), /verified: agreed/);
  await close(page, "jobs");
});

test("without a token nothing is shown, and it can be given", { skip }, async () => {
  const page = await context.newPage();
  const [origin, token] = facts.url.split("/#token=");
  await page.goto(origin);
  await page.getByLabel("Token").fill(token);
  await page.keyboard.press("Enter");
  await page.waitForSelector("tbody tr");
  await page.close();
});

test("a job: result, receipts, events; what it says is text", { skip }, async () => {
  const page = await open(`#/job/${facts.job}`);
  assert.match(await page.locator("main pre").first().textContent(), /^<img src=x onerror/);
  assert.equal(await page.locator("main img").count(), 0);
  assert.equal(await page.locator("main script").count(), 0);
  assert.equal(await page.getByRole("region", { name: "Receipts" }).locator("tbody tr").count(), 3);
  await page.waitForFunction(() => document.querySelectorAll("main ol li").length > 0);
  assert.ok(await page.getByRole("heading", { name: "What happened" }).isVisible());
  await close(page, "job");
});

test("a job of which no events are known has no heading for them", { skip }, async () => {
  const page = await open();
  await page.route("**/events?follow=1", (route) => route.fulfill({ status: 204 }));
  const asked = page.waitForResponse((answer) => answer.url().endsWith("/events?follow=1"));
  await go(page, `#/job/${facts.job}`);
  await asked;
  assert.equal(await page.getByRole("heading", { name: "What happened" }).count(), 0);
  await page.close();
});

test("a job over shards lists them", { skip }, async () => {
  const page = await open(`#/job/${facts.sharded}`);
  assert.equal(await page.getByRole("region", { name: "Shards" }).locator("tbody tr").count(), 2);
  await close(page, "shards");
});

test("a record is audited by one click", { skip }, async () => {
  const page = await open(`#/record/${facts.record}`);
  await page.getByRole("button", { name: "Audit it" }).click();
  await page.waitForSelector("text=Audit:");
  assert.match(await page.locator("h2", { hasText: "Audit:" }).textContent(), /valid/);
  assert.ok((await page.getByRole("region", { name: /Checks/ }).locator("tbody tr").count()) >= 13);
  await close(page, "record");
});

test("dissent is shown", { skip }, async () => {
  const page = await open(`#/record/${facts.disputed}`);
  assert.match(await page.getByRole("region", { name: "Receipts" }).textContent(), /dissent/);
  await close(page, "dissent");
});

test("a record says first what stands against it", { skip }, async () => {
  const page = await open(`#/record/${facts.tainted}`);
  assert.match(await page.locator("main .problem").first().textContent(), /^tainted /);
  await close(page, "tainted");
});

test("files are shown as what they are", { skip }, async () => {
  const page = await open(`#/content/${facts.output}/outputs/outputs`);
  assert.equal(await page.locator("tbody tr").count(), facts.files.length);
  const at = async (name) => go(page, `#/content/${facts.output}/outputs/outputs/${encodeURIComponent(name)}`);
  await at("table.csv");
  assert.deepEqual(await page.locator("tbody tr").last().locator("td").allTextContents(), ["gra,ce", "2"]);
  await at("picture.png");
  await page.waitForFunction(() => document.querySelector("figure img")?.naturalWidth === 8);
  await at("note.txt");
  assert.match(await page.locator("main pre").textContent(), /^<img src=x/);
  await at("data.json");
  assert.equal(await page.locator("main pre").textContent(), '{\n  "a": [\n    1,\n    2\n  ]\n}');
  await at("bytes.bin");
  assert.match(await page.locator("main pre").textContent(), /^00000000 {2}00 01 02/);
  await at("drawing.svg");
  assert.equal(await page.locator("figure img").count(), 1);
  await at("book.ipynb");
  assert.equal(await page.locator(".cell").count(), 3);
  assert.equal(await page.locator("main script, main .cell img").count(), 0);
  await close(page, "notebook");
});

test("a graph of many records is drawn, lineage in front; the table says the same", { skip, timeout: 120_000 }, async () => {
  const page = await open(`#/graph/${facts.tainted}`);
  if (process.env.PAGES_TIMES) console.log(await page.evaluate(() => performance.getEntriesByType("resource").map(({ name, startTime, duration }) => [name.slice(22, 60), Math.round(startTime), Math.round(duration)])));
  await page.waitForFunction(() => document.querySelector(".drawing")?.dataset.drawn, null, { timeout: 60_000 });
  assert.ok(Number(await page.locator(".drawing").getAttribute("data-drawn")) > RECORDS * 0.9);
  assert.match(await page.locator("main").textContent(), /chosen/);
  assert.match(await page.getByRole("region", { name: "Records" }).textContent(), /tainted/);
  await page.getByRole("button", { name: "Show all" }).click();
  assert.match(await page.locator("main h2").last().textContent(), /^Records$/);
  await close(page, "graph");
});

test("the node's page says that there is none", { skip }, async () => {
  const page = await open("#/node");
  assert.match(await page.locator("main").textContent(), /No node runs here/);
  await close(page, "node");
});

test("search leads to jobs, records and content; a wrong name is told", { skip }, async () => {
  const page = await open();
  for (const [text, heading] of [[facts.job.slice(0, 8), /^Job /], [facts.record, /^Record$/], [`ipfs://${facts.output}/result`, /^result$/], ["bafyreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy", /^Not to be had$/]]) {
    await page.getByLabel("Job id or CID").fill(text);
    await page.keyboard.press("Enter");
    await page.waitForFunction((source) => new RegExp(source).test(document.querySelector("main h1")?.textContent ?? ""), heading.source);
  }
  errors = errors.filter((text) => !/404|503/.test(text)); // Chromium tells of the answer itself
  await close(page, "absent");
});

/** Every page, by a name for its picture; the one that is there at first comes last. */
const pages = () => [
  ["job", `#/job/${facts.job}`], ["shards", `#/job/${facts.sharded}`], ["record", `#/record/${facts.record}`],
  ["dissent", `#/record/${facts.disputed}`], ["tainted", `#/record/${facts.tainted}`], ["graph", `#/graph/${facts.tainted}`], ["folder", `#/content/${facts.output}`],
  ["table", `#/content/${facts.output}/outputs/outputs/table.csv`], ["notebook", `#/content/${facts.output}/outputs/outputs/book.ipynb`],
  ["text", `#/content/${facts.output}/outputs/outputs/note.txt`], ["node", "#/node"], ["jobs", "#/jobs"],
];

async function picture(page, name) {
  if (process.env.PAGES_SCREENSHOTS) await page.screenshot({ path: `${process.env.PAGES_SCREENSHOTS}/${name}.png`, fullPage: false });
}

/** Press Tab until the end of the page, and return the names of what has the focus on the way; all must have one. */
async function walked(page) {
  const reached = new Set();
  for (let count = 0; count < 60; count += 1) {
    await page.keyboard.press("Tab");
    const said = await page.evaluate(() => {
      const element = document.activeElement;
      const label = element.labels?.[0]?.textContent ?? "";
      return element === document.body ? null : { name: (element.getAttribute("aria-label") ?? (label || element.textContent)).trim(), outline: getComputedStyle(element).outlineStyle, markup: element.outerHTML.slice(0, 80) };
    });
    if (said === null) break;
    assert.notEqual(said.name, "", said.markup);
    assert.notEqual(said.outline, "none", said.markup);
    reached.add(said.name);
  }
  return reached;
}

test("everything can be reached by keyboard, and has a name", { skip }, async () => {
  const page = await open();
  for (const [name, place] of pages()) {
    await go(page, place);
    // Where a person begins who has clicked nothing.
    await page.evaluate(() => document.querySelector(".brand a").focus());
    await page.keyboard.press("Shift+Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    const reached = await walked(page);
    const own = { record: ["Audit it", "Receipts"], graph: ["Zoom in", "Show all"] }[name] ?? [];
    for (const wanted of ["Jobs", "Graph", "Node", "Job id or CID", "Find", ...own]) assert.ok(reached.has(wanted), `${wanted} of ${name}: ${[...reached]}`);
    // Screen readers go by headings, and by the names of controls and pictures.
    assert.deepEqual(await page.evaluate(() => [...document.querySelectorAll("main img:not([alt]), main [role=img]:not([aria-label]), main th:empty:not([aria-hidden])")].map((element) => element.outerHTML)), []);
    assert.equal(await page.locator("h1").count(), 1, name);
  }
  await close(page, "keyboard");
});

for (const colorScheme of ["light", "dark"]) {
  test(`text stands out enough from its ground on every page: ${colorScheme}`, { skip }, async () => {
    const page = await open(undefined, { colorScheme });
    for (const [name, place] of pages()) {
      await go(page, place);
      await picture(page, `${colorScheme}-${name}`);
      assert.deepEqual(await page.evaluate(faint), [], name);
    }
    await close(page, `scheme-${colorScheme}`);
  });
}

test("on a narrow screen no page is wider than it", { skip }, async () => {
  const page = await open();
  await page.setViewportSize({ width: 360, height: 740 });
  for (const [name, place] of pages()) {
    await go(page, place);
    await picture(page, `narrow-${name}`);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360, name);
  }
  await close(page, "narrow");
});

/** Return texts of the page whose contrast is below 4.5; runs in it. */
function faint() {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((value) => value / 255).map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)).reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour[3] === undefined || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const hasText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return [...document.querySelectorAll("body *")].filter((element) => hasText(element) && element.getClientRects().length > 0 && !element.closest("noscript")).map((element) => {
    const [one, two] = [light(parts(getComputedStyle(element).color)), light(ground(element))].sort((a, b) => b - a);
    return { text: element.textContent.slice(0, 30), ratio: (one + 0.05) / (two + 0.05) };
  }).filter(({ ratio }) => ratio < 4.5);
}
