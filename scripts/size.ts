/** `npm run size`: bytes of the browser core, src/index.ts with all it needs but the tokenizer and weights. */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const ENTRY = join(ROOT, "src", "index.ts");
/** 60 KB: small beside any model, and noticed when it is left. */
const MAX_GZIP_BYTES = 61_440;

/** The bundle as one minified ES module. */
async function bundle(entry: string): Promise<string> {
  const result = await build({
    root: ROOT,
    configFile: false,
    logLevel: "warn",
    build: {
      write: false,
      minify: true,
      lib: { entry, formats: ["es"] },
      rolldownOptions: { external: ["@huggingface/tokenizers"] },
    },
  });
  if (!Array.isArray(result)) throw new Error("vite returned no bundle");
  return result.flatMap(({ output }) => output.map((file) => (file.type === "chunk" ? file.code : ""))).join("");
}

if (!existsSync(ENTRY)) {
  console.error(`There is no browser entry to measure: ${ENTRY} is missing.`);
  process.exit(1);
}
const code = await bundle(ENTRY);
const gzipBytes = gzipSync(code, { level: 9 }).length;
const share = Math.round((100 * gzipBytes) / MAX_GZIP_BYTES);
console.log(
  `Browser core: ${Buffer.byteLength(code)} bytes minified, ${gzipBytes} bytes gzipped (${share} % of ${MAX_GZIP_BYTES}).`,
);
if (gzipBytes > MAX_GZIP_BYTES) {
  console.error(`The browser core may have ${MAX_GZIP_BYTES} bytes gzipped; make it smaller.`);
  process.exitCode = 1;
}
