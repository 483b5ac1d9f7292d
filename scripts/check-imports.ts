/**
 * Checks the shape of the source (`npm run check`): imports point downwards only, files do not import each other in a
 * circle, nothing that src/index.ts reaches needs Node, and no file is too long to read in one sitting.
 * Type imports count as well, since whoever compiles against the browser entry needs what its types name; only circles
 * may be closed by them, since only a circle of real imports depends on which file is loaded first.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseSync, Visitor } from "vite";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const FOLDERS = ["src", "scripts", "test", "bench", "examples"];
const BROWSER_ENTRY = "src/index.ts";
const MAX_LINES = 400;

const LEAVES = ["data", "weights", "metrics", "pages"];
/** The layers that files of a layer may import besides their own. "api" is src/index.ts and src/node.ts. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  runtime: [],
  kernels: ["runtime"],
  node: ["runtime", ...LEAVES],
  data: ["runtime", ...LEAVES],
  weights: ["runtime", ...LEAVES],
  metrics: ["runtime", ...LEAVES],
  pages: ["runtime", ...LEAVES],
  models: ["kernels", "runtime", ...LEAVES],
  train: ["node", "models", "kernels", "runtime", ...LEAVES],
  api: ["node", "train", "models", "kernels", "runtime", ...LEAVES],
  eval: ["models", "kernels", "runtime", ...LEAVES],
  bench: ["node", "train", "models", "kernels", "runtime", ...LEAVES],
  tune: ["bench", "kernels", "runtime", ...LEAVES],
  cli: ["api", "tune", "bench", "node", "eval", "train", "models", "kernels", "runtime", ...LEAVES],
};

interface Import {
  readonly line: number;
  /** What the code says, or null where it is computed at run time. */
  readonly specifier: string | null;
  /** The imported file, or null for a package or a Node module. */
  readonly file: string | null;
  /** `import type`, `export type` or an import in a type: gone when the program runs. */
  readonly erased: boolean;
}

/** Files by path from the repository's root, with "/"; imports likewise. */
type Sources = ReadonlyMap<string, string>;
type Graph = ReadonlyMap<string, readonly Import[]>;

/**
 * Every violation in `sources` as "file:line: sentence". `browserPackages` are the npm packages that work in browsers:
 * package.json's `dependencies`, while `optionalDependencies` are for Node only.
 */
export function findViolations(sources: Sources, browserPackages: ReadonlySet<string>): string[] {
  const graph: Graph = new Map(
    [...sources].filter(([path]) => path.startsWith("src/")).map(([path, text]) => [path, importsOf(path, text)]),
  );
  return [...upwardImports(graph), ...cycles(graph), ...nodeInBrowser(graph, browserPackages), ...longFiles(sources)];
}

interface ImportNode {
  readonly type: string;
  readonly start: number;
  readonly source?: unknown;
  readonly importKind?: string;
  readonly exportKind?: string;
}

/** Static, dynamic and type imports, and re-exports. */
function importsOf(path: string, text: string): Import[] {
  const imports: Import[] = [];
  const add = (node: ImportNode) => {
    const source = node.source as { readonly type: string; readonly value?: unknown } | null | undefined;
    if (source == null) return; // an export of something local
    const specifier = source.type === "Literal" ? String(source.value) : null;
    const isFile = specifier?.startsWith(".") ?? false;
    const file = isFile ? posix.join(posix.dirname(path), specifier!).replace(/\.js$/, ".ts") : null;
    const erased = node.type === "TSImportType" || node.importKind === "type" || node.exportKind === "type";
    imports.push({ line: text.slice(0, node.start).split("\n").length, specifier, file, erased });
  };
  const visitor = new Visitor({
    ImportDeclaration: add,
    ExportAllDeclaration: add,
    ExportNamedDeclaration: add,
    ImportExpression: add,
    TSImportType: add,
  });
  visitor.visit(parseSync(path, text).program);
  return imports;
}

function layerOf(path: string): string {
  const parts = path.split("/");
  return parts.length === 2 ? "api" : parts[1]!;
}

function upwardImports(graph: Graph): string[] {
  return [...graph].flatMap(([path, imports]) => {
    const layer = layerOf(path);
    const allowed = LAYERS[layer];
    if (allowed === undefined)
      return [`${path}:1: src/${layer} is no known layer; add it to LAYERS in check-imports.ts`];
    return imports
      .filter(({ file }) => file !== null && layerOf(file) !== layer && !allowed.includes(layerOf(file)))
      .map(({ line, file }) => `${path}:${line}: ${layer} must not import ${layerOf(file!)} (${file})`);
  });
}

/** One line for each circle, found by walking depth first: an import of a file that is still being walked closes one. */
function cycles(graph: Graph): string[] {
  const violations: string[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const walk = (path: string) => {
    trail.push(path);
    for (const { file, line, erased } of graph.get(path) ?? []) {
      if (file === null || erased || done.has(file)) continue;
      const start = trail.indexOf(file);
      if (start === -1) walk(file);
      else
        violations.push(`${path}:${line}: closes a circle of imports: ${[...trail.slice(start), file].join(" -> ")}`);
    }
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) if (!done.has(path)) walk(path);
  return violations;
}

function nodeInBrowser(graph: Graph, browserPackages: ReadonlySet<string>): string[] {
  const violations: string[] = [];
  const importer = new Map<string, string>();
  const reached = new Set(graph.has(BROWSER_ENTRY) ? [BROWSER_ENTRY] : []);
  const wayTo = (path: string): string => (importer.has(path) ? `${wayTo(importer.get(path)!)} -> ${path}` : path);
  for (const path of reached) {
    for (const { file, line, specifier } of graph.get(path) ?? []) {
      if (file !== null) {
        if (!reached.has(file)) importer.set(file, path);
        reached.add(file);
      } else if (specifier === null || !browserPackages.has(packageName(specifier))) {
        const what = specifier === null ? "a module named at run time" : `"${specifier}", which needs Node`;
        violations.push(`${path}:${line}: the browser entry reaches ${what} (${wayTo(path)})`);
      }
    }
  }
  return violations;
}

/** "@scope/name/deep/file.js" -> "@scope/name". */
function packageName(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
}

function longFiles(sources: Sources): string[] {
  return [...sources]
    .map(([path, text]) => ({ path, lines: text.trimEnd().split("\n").length }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(
      ({ path, lines }) => `${path}:${MAX_LINES + 1}: ${lines} lines long, and ${MAX_LINES} are the limit; split it`,
    );
}

function readSources(): Sources {
  const paths = FOLDERS.filter((folder) => existsSync(join(ROOT, folder))).flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
      .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
      .filter((path) => /\.tsx?$/.test(path) && !path.includes("/node_modules/") && !path.includes("/dist/")),
  );
  return new Map(paths.sort().map((path) => [path, readFileSync(join(ROOT, path), "utf8")]));
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const sources = readSources();
  const violations = findViolations(sources, new Set(Object.keys(dependencies)));
  for (const violation of violations) console.error(violation);
  console.log(`Imports: ${sources.size} files, ${violations.length} violations.`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}
