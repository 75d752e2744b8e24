// Starts one of the Python programs beside this file that others are to talk to.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));

/** Start a program; gives its process, which ends when its input does, and the facts that its first line tells. */
export async function startPython(program, ...parts) {
  const server = spawn(process.env.PYTHON ?? "python3", ["-W", "error", `${here}${program}`, ...parts], {
    cwd: `${here}../..`,
    env: { ...process.env, PYTHONPATH: `${here}../..` },
    stdio: ["pipe", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: server.stdout })) return { server, facts: JSON.parse(line) };
  throw new Error(`${program} ended before it said anything`);
}
