/**
 * Last step of `npm run build`: takes comments and indentation out of the WGSL in dist. They are for readers of src; in
 * a bundle they cost 4 KB gzipped, since minifiers leave template strings alone.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const TEMPLATE = /\/\* wgsl \*\/ `[^`]*`/g;

/** Exported for its test. Template expressions stay as they are: they hold no `//`. */
export function compactWgsl(js: string): string {
  return js.replace(TEMPLATE, (wgsl) =>
    wgsl
      .replace(/[ \t]*\/\/[^\n`]*/g, "")
      .replace(/\n\s+/g, "\n")
      .replace(/ (&&|\|\||[-+*/%=<>!]=?|<<|>>) (?!-)/g, "$1") // "a - -b" must not become "a--b"
      .replace(/ ([-+*/%=<>!]=?) (?=-)/g, "$1 "),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const name of readdirSync(DIST, { recursive: true, encoding: "utf8" })) {
    if (!name.endsWith(".js")) continue;
    const path = join(DIST, name);
    writeFileSync(path, compactWgsl(readFileSync(path, "utf8")));
  }
}
