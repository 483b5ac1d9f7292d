/**
 * `npm run size`: bytes of the browser core, the built index.js with all it needs but the tokenizer (src/data/tokenizer*.ts
 * and its library) and weights. The tokenizer and what loads on demand (the reader of PyTorch checkpoints) are counted apart.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const ENTRY = join(ROOT, "dist", "index.js");
/** 60 KB: small beside any model, and noticed when it is left. */
const MAX_GZIP_BYTES = 61_440;

const TOKENIZER_LIBRARY = "@huggingface/tokenizers";
const TOKENIZER = /\/data\/(tokenizer[-a-z]*|detokenize)\.js$/;

interface Bundle {
  readonly core: string;
  readonly onDemand: string;
}

/** Minified ES modules: what the entry loads at once, and what it loads later. */
async function bundle(entry: string, external: readonly (string | RegExp)[]): Promise<Bundle> {
  const result = await build({
    root: ROOT,
    configFile: false,
    logLevel: "warn",
    build: {
      write: false,
      minify: true,
      lib: { entry, formats: ["es"] },
      rolldownOptions: { external: [...external] },
    },
  });
  if (!Array.isArray(result)) throw new Error("vite returned no bundle");
  const chunks = result.flatMap(({ output }) => output.filter((file) => file.type === "chunk"));
  const code = (lazy: boolean) => chunks.map((c) => (isLazy(c, chunks) === lazy ? c.code : "")).join("");
  return { core: code(false), onDemand: code(true) };
}

/** Reached from the entry by `import()` only. */
function isLazy(chunk: Chunk, all: readonly Chunk[]): boolean {
  if (chunk.isEntry) return false;
  return !all.some((c) => c.imports.includes(chunk.fileName) && !isLazy(c, all));
}

interface Chunk {
  readonly isEntry: boolean;
  readonly fileName: string;
  readonly imports: readonly string[];
}

const gzipped = (text: string) => gzipSync(text, { level: 9 }).length;

if (!existsSync(ENTRY)) {
  console.error(`There is no browser entry to measure: ${ENTRY} is missing; run npm run build.`);
  process.exit(1);
}
const { core, onDemand } = await bundle(ENTRY, [TOKENIZER_LIBRARY, TOKENIZER]);
const whole = await bundle(ENTRY, [TOKENIZER_LIBRARY]);
const gzipBytes = gzipped(core);
const share = Math.round((100 * gzipBytes) / MAX_GZIP_BYTES);
console.log(
  `Browser core: ${Buffer.byteLength(core)} bytes minified, ${gzipBytes} bytes gzipped (${share} % of ` +
    `${MAX_GZIP_BYTES}); ${gzipped(whole.core) - gzipBytes} more for the tokenizer, ` +
    `${gzipped(onDemand)} more load on demand, for PyTorch checkpoints.`,
);
if (gzipBytes > MAX_GZIP_BYTES) {
  console.error(`The browser core may have ${MAX_GZIP_BYTES} bytes gzipped; make it smaller.`);
  process.exitCode = 1;
}
