import { defineConfig } from "vitest/config";

// biome-ignore lint/style/noDefaultExport: vitest reads the default export
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/browser/**"],
    // One process per file, two at a time: each file opens one device, and a CI machine has two cores.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Mesa compiles a kernel at its first dispatch (0.3-6 s); its disk cache makes the next run start in milliseconds.
    env: {
      CLIPCAP_TUNE: "0", // the usual kernels, whatever was measured on this machine
      MESA_SHADER_CACHE_DIR: process.env.MESA_SHADER_CACHE_DIR ?? new URL(".cache/mesa", import.meta.url).pathname,
    },
  },
});
