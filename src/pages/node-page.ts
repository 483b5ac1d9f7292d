import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Html, html, jsonMarkup } from "./html.js";

/** What a page consists of; everything is written into one file. */
export interface Page {
  readonly title: string;
  readonly body: Html;
  /** CSS after the style that all pages share. */
  readonly style?: string;
  /** Texts of scripts, which run in this order when the body has been read. */
  readonly scripts?: readonly string[];
  /** Read by scripts as `JSON.parse(document.getElementById("data").textContent)`. */
  readonly data?: unknown;
}

/**
 * A page that opens from disk and loads nothing. Its content security policy forbids the network and every script but
 * these, by their hashes, so that markup which slipped through could do nothing either.
 */
export function htmlPage({ title, body, style = "", scripts = [], data }: Page): string {
  const hashes = scripts.map((script) => ` 'sha256-${createHash("sha256").update(script).digest("base64")}'`).join("");
  const policy = `default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src${hashes || " 'none'"}`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Html(STYLE + style)}</style>
</head>
<body>
${body}
${data === undefined ? "" : html`<script type="application/json" id="data">${jsonMarkup(data)}</script>`}
${scripts.map((script) => html`<script>${new Html(script)}</script>`)}
</body>
</html>
`.markup;
}

/**
 * The text of a script for browsers that lies beside the calling module. Such files are JavaScript, with types in
 * comments that tsc checks, because they are put into pages as they are, from src and from dist alike.
 */
export function pageScript(name: string, beside: string): string {
  const text = readFileSync(fileURLToPath(new URL(name, beside)), "utf8");
  return `(() => {
"use strict";
${text.replace(/^export \{\};$|^\/\/# sourceMappingURL=.*$/gm, "")}})();`;
}

/** Colours and plain elements. The names of the variables are what styles of pages build on. */
const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #fbfbfa; --card: #fff; --line: #e3e2de; --text: #1d1d1b; --quiet: #66655f; --accent: #2563c9;
}
@media (prefers-color-scheme: dark) {
  :root { --ground: #161615; --card: #1f1f1d; --line: #373632; --text: #eceae4; --quiet: #a3a097; --accent: #7db0ff; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem clamp(0.9rem, 3vw, 2.5rem) 4rem; max-width: 84rem;
  background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
}
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; letter-spacing: -0.015em; overflow-wrap: anywhere; }
h2 { margin: 2.75rem 0 0.9rem; font-size: 1.2rem; }
h3 { margin: 0; font-size: 0.95rem; overflow-wrap: anywhere; }
p { margin: 0.4rem 0; }
.quiet { color: var(--quiet); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 0.6rem; padding: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; font-size: 0.85rem; color: var(--quiet); white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
summary { cursor: pointer; }
pre { margin: 0.6rem 0 0; font-size: 0.85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`;
