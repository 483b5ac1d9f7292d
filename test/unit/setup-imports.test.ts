import { expect, it } from "vitest";
import { findViolations } from "../../scripts/check-imports.js";

/** Violations of a source tree whose only browser package is "pure" and "@scope/pure". */
function check(files: Record<string, string>): string[] {
  return findViolations(new Map(Object.entries(files)), new Set(["pure", "@scope/pure"]));
}

it("accepts imports that point downwards, and text that only looks like an import", () => {
  const files = {
    "src/index.ts": 'import "./models/a.js";\nimport { z } from "@scope/pure/deep.js";\nexport { z };',
    "src/models/a.ts":
      'import { k } from "../kernels/k.js";\nexport const text = `import("node:fs")`; // from "sharp"\nexport { k };',
    "src/kernels/k.ts": 'export * from "../runtime/r.js";',
    "src/runtime/r.ts": "export const k = 1;",
    "src/node.ts": 'import sharp from "sharp";\nimport { readFileSync } from "node:fs";\nexport * from "./index.js";',
    "src/cli/main.ts": 'import "../node.js";\nimport "commander";',
  };
  expect(check(files)).toEqual([]);
});

it.each([
  ['import { x } from "../models/x.js";', "an import"],
  ['import type { X } from "../models/x.js";', "a type import"],
  ['export * from "../models/x.js";', "a re-export"],
  ['export const x = () => import("../models/x.js");', "a dynamic import"],
  ['export type X = import("../models/x.js").X;', "an import type"],
])("reports %s upwards with its line (%s)", (statement) => {
  const files = { "src/kernels/k.ts": `// first line\n${statement}`, "src/models/x.ts": "export {};" };
  expect(check(files)).toEqual(["src/kernels/k.ts:2: kernels must not import models (src/models/x.ts)"]);
});

it("reports leaves that import models, anything that imports the command line, and unknown folders", () => {
  const files = {
    "src/data/d.ts": 'import "../models/m.js";',
    "src/models/m.ts": 'import "../cli/c.js";',
    "src/cli/c.ts": "export {};",
    "src/helpers/h.ts": "export {};",
  };
  const violations = check(files).join("\n");
  expect(violations).toContain("src/data/d.ts:1: data must not import models");
  expect(violations).toContain("src/models/m.ts:1: models must not import cli");
  expect(violations).toContain("src/helpers/h.ts:1: src/helpers is no known layer");
});

it("reports a circle once, with its files", () => {
  const files = {
    "src/runtime/a.ts": 'import "./b.js";',
    "src/runtime/b.ts": '\nimport "./c.js";',
    "src/runtime/c.ts": 'import "./a.js";',
  };
  expect(check(files)).toEqual([
    "src/runtime/c.ts:1: closes a circle of imports: src/runtime/a.ts -> src/runtime/b.ts -> src/runtime/c.ts -> src/runtime/a.ts",
  ]);
});

it("lets type imports close a circle", () => {
  const files = { "src/runtime/a.ts": 'import "./b.js";', "src/runtime/b.ts": 'import type { A } from "./a.js";' };
  expect(check(files)).toEqual([]);
});

it("reports Node modules, Node-only packages and computed imports that the browser entry reaches, with the way", () => {
  const files = {
    "src/index.ts": 'import "./data/d.js";',
    "src/data/d.ts": 'import fs from "fs";\nconst s = await import("sharp");\nawait import(name);\nimport "pure";',
  };
  const way = "(src/index.ts -> src/data/d.ts)";
  expect(check(files).sort()).toEqual([
    `src/data/d.ts:1: the browser entry reaches "fs", which needs Node ${way}`,
    `src/data/d.ts:2: the browser entry reaches "sharp", which needs Node ${way}`,
    `src/data/d.ts:3: the browser entry reaches a module named at run time ${way}`,
  ]);
});

it("reports files longer than 400 lines, in tests too", () => {
  expect(check({ "test/long.test.ts": "//\n".repeat(401), "src/runtime/r.ts": "//\n".repeat(400) })).toEqual([
    "test/long.test.ts:401: 401 lines long, and 400 are the limit; split it",
  ]);
});
