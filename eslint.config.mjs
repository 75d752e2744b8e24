// Rules for the Node side: the recommended ones, nothing unused, and no globals but those that the realm really has.

import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/.venv/**", "**/node_modules/**", "**/.bacalhau/**", "dist/**"] },
  js.configs.recommended,
  {
    rules: {
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", caughtErrors: "none" }],
      "no-restricted-imports": ["error", { patterns: ["node:*"] }],
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  {
    files: ["js_host/**/*.mjs"],
    languageOptions: {
      ecmaVersion: 2024,
      globals: { ...globals.builtin, WebAssembly: "readonly", TextEncoder: "readonly", TextDecoder: "readonly", console: "readonly" },
    },
  },
  // The one file that takes things from Node (js_host/host.mjs says why).
  { files: ["js_host/host.mjs"], languageOptions: { globals: { process: "readonly" } }, rules: { "no-restricted-imports": "off" } },
  {
    files: ["tests/**/*.mjs", "bench/**/*.mjs"],
    languageOptions: { ecmaVersion: 2024, globals: globals.node },
    rules: { "no-restricted-imports": "off" },
  },
  {
    files: ["bacalhau/web/static/*.js"],
    languageOptions: { ecmaVersion: 2024, globals: globals.browser },
  },
  // Parts of it run in the browser.
  { files: ["tests/interop/pages.test.mjs", "tests/interop/graph_times.mjs"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
  { files: ["*.mjs"], languageOptions: { globals: globals.node } },
];
