import { defineConfig } from "vitest/config";

// Apart from `npm test`, because these tests need Chromium, which npm does not bring: `npm run test:browser`.
// biome-ignore lint/style/noDefaultExport: vitest reads the default export
export default defineConfig({
  test: {
    root: new URL("../..", import.meta.url).pathname,
    include: ["test/browser/**/*.test.ts"],
    pool: "forks",
    fileParallelism: false,
    // Chromium computes on SwiftShader, 15 times slower than lavapipe.
    testTimeout: 300_000,
    hookTimeout: 60_000,
  },
});
