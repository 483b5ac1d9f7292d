import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ClipCapError } from "../runtime/errors.js";

/** Script and style of uPlot (51 KB), the library that pages draw curves with; it defines the global `uPlot`. */
export function plotLibrary(): { readonly script: string; readonly style: string } {
  const folder = installed();
  const text = (file: string) => readFileSync(join(folder, file), "utf8");
  // The licence asks that its text goes with every copy.
  const script = `/*\n${text("LICENSE").replaceAll("*/", "")}*/\n${text("dist/uPlot.iife.min.js")}`;
  return { script, style: text("dist/uPlot.min.css") };
}

function installed(): string {
  try {
    return dirname(createRequire(import.meta.url).resolve("uplot/package.json"));
  } catch (cause) {
    const message = "pages with curves need the package uplot; run: npm install uplot";
    throw new ClipCapError("missing-package", message, { cause });
  }
}
