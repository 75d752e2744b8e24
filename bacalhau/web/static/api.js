// Talks to the server that these pages came from. The token comes with the address (`#token=…`), which no server sees,
// and is kept for this tab alone.

const KEY = "bacalhau-token";

/** What went wrong: the fields of the API's errors. */
export class Problem extends Error {
  constructor(status, said) {
    super([said.where, said.problem].filter(Boolean).join(": ") + (said.fix ? `; ${said.fix}` : ""));
    this.status = status;
  }
}

/** Take the token out of the address, so that it is not seen, copied or kept in the history. */
export function takeToken() {
  const found = /^#token=([0-9a-f]{64})$/.exec(location.hash);
  if (found) {
    sessionStorage.setItem(KEY, found[1]);
    history.replaceState(null, "", "#/jobs");
  }
}

export function setToken(text) {
  sessionStorage.setItem(KEY, text);
}

async function ask(path, options = {}) {
  const headers = { ...options.headers, Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, { problem: "nothing answers any more", fix: "start it again, and load this page anew" });
  }
  if (answer.ok) return answer;
  let said = { problem: `the answer was ${answer.status}` };
  try {
    said = await answer.json();
  } catch {
    // not of ours: the status is all there is
  }
  throw new Problem(answer.status, said);
}

export async function get(path, signal) {
  return (await ask(path, { signal })).json();
}

export async function post(path, signal) {
  return (await ask(path, { method: "POST", signal })).json();
}

/** Return the head of a file as bytes, and the size of all of it. */
export async function getBytes(path, signal) {
  const answer = await ask(path, { signal });
  return { bytes: new Uint8Array(await answer.arrayBuffer()), size: Number(answer.headers.get("X-Size")) };
}

/** Yield the events of a job as they come, to the last. */
export async function* follow(job, signal) {
  const answer = await ask(`/api/v1/jobs/${encodeURIComponent(job)}/events?follow=1`, { signal });
  if (answer.status === 204) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (data) yield JSON.parse(data);
    }
  }
}
