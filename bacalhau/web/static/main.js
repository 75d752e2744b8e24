// Which page is shown: the address behind `#` says it. One page at a time; what an earlier one still waits for is given up.

import { Problem, setToken, takeToken } from "/pages/api.js";
import { h, tell } from "/pages/dom.js";
import { contentPage } from "/pages/content.js";
import { graphPage } from "/pages/graph.js";
import { jobPage, jobsPage } from "/pages/jobs.js";
import { nodePage } from "/pages/node.js";
import { recordPage } from "/pages/record.js";

const PAGES = {
  jobs: { show: jobsPage, nav: "jobs" },
  job: { show: jobPage, nav: "jobs" },
  record: { show: recordPage, nav: "graph" },
  content: { show: contentPage, nav: "" },
  graph: { show: graphPage, nav: "graph" },
  node: { show: nodePage, nav: "node" },
};
let current = new AbortController();

async function show() {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const [name, ...rest] = location.hash.replace(/^#\//, "").split("/").map(decoded);
  const page = PAGES[name] ?? PAGES.jobs;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === page.nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const main = document.getElementById("main");
  main.replaceChildren(h("p", { class: "quiet" }, "Loading…"));
  try {
    const place = h("div", null);
    await page.show(place, rest, signal);
    if (signal.aborted) return;
    main.replaceChildren(place);
  } catch (error) {
    if (signal.aborted) return;
    main.replaceChildren(...failed(error));
  }
  const heading = main.querySelector("h1");
  document.title = heading ? `${heading.textContent} – Bacalhau` : "Bacalhau";
  tell(heading?.textContent ?? "");
  main.focus({ preventScroll: true });
  main.dispatchEvent(new CustomEvent("shown"));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function failed(error) {
  if (!(error instanceof Problem)) {
    console.error(error);
    return [h("h1", null, "Something went wrong"), h("p", { class: "problem", role: "alert" }, String(error))];
  }
  if (error.status !== 401) return [h("h1", null, "Not to be had"), h("p", { class: "problem", role: "alert" }, error.message)];
  const input = h("input", { id: "token", type: "password", autocomplete: "off", required: true, pattern: "[0-9a-f]{64}" });
  const enter = (event) => {
    event.preventDefault();
    setToken(input.value.trim());
    show();
  };
  return [
    h("h1", null, "Who are you?"),
    h("p", null, "Open the address that ", h("code", null, "bacalhau web"), " prints, or give the token that is in the file ", h("code", null, "api-token"), " of BACALHAU_DIR."),
    h("form", { submit: enter, class: "tools" }, h("label", { for: "token" }, "Token"), input, h("button", { type: "submit" }, "Enter")),
  ];
}

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = document.getElementById("find").value.trim().replace(/^(ipfs:\/\/|\/ipfs\/)/, "");
  if (!text) return;
  const isJob = /^[0-9a-f]{4,32}$/i.test(text);
  // A record, task or other data has the codec DAG-CBOR, which such CIDs begin with.
  const kind = isJob ? "job" : text.startsWith("bafyrei") ? "record" : "content";
  location.hash = `#/${kind}/${text.split("/").map(encodeURIComponent).join("/")}`;
});
window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#/") || location.hash.startsWith("#token=")) {
    takeToken();
    show();
  }
});
takeToken();
show();
