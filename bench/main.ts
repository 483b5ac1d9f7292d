// npm run bench [-- kernels|full|small|train [pattern]]: each part in a process of its own, so that none measures another's
// memory. Results go to bench/results.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const PARTS = ["kernels", "full", "small", "train"];

const [part, ...rest] = process.argv.slice(2);
if (part !== undefined && !PARTS.includes(part)) {
  console.error(`there is no benchmark ${part}; give one of ${PARTS.join(", ")}, or nothing for all`);
  process.exit(2);
}
for (const name of part ? [part] : PARTS) {
  console.log(`\n${name}`);
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  const { status } = spawnSync(process.execPath, ["--import", "tsx", file, ...rest], { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
