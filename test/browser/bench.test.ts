import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { benchPage } from "../../src/bench/page/node-page.js";
import { line, report } from "../unit/bench/reports.js";
import { type Chromium, openChromium } from "./chromium.js";

const ATTACK = `"><script>window.attacked = 1</script><img src=x onerror="window.attacked = 1">`;

const folder = mkdtempSync(join(tmpdir(), "clipcap-bench-"));
let chromium: Chromium;
beforeAll(async () => {
  chromium = await openChromium();
});
afterAll(async () => {
  await chromium?.close();
  rmSync(folder, { recursive: true, force: true });
});

it.each(["light", "dark"] as const)("shows table and roofline without a request or an error: %s", async (scheme) => {
  const out = join(folder, `${scheme}.html`);
  const results = [
    line("matmul.nt", 1, { gflops: 50, flops: 5e7, bytes: 1e6, gpu_ms: 0.9 }), // 50 FLOP per byte
    line("attention", 1, { gflops: 5, flops: 5e6, bytes: 1e7, chosen: false }), // 0.5 FLOP per byte
    line("rows.repeat", 1, { gflops: 0, flops: 0 }),
    line("softmax", 1, { verified: false }),
    line(ATTACK, 1),
  ];
  writeFileSync(out, benchPage(report(results, { driver: ATTACK })));
  const { page, complaints } = await chromium.openFile(out, scheme);

  expect(await page.locator("tbody tr").count()).toBe(5);
  expect(await page.locator("tr.wrong").textContent()).toContain("NO");
  // What moves bytes alone has no point; the higher one is further up, the denser one further to the right.
  expect(await page.locator("circle").count()).toBe(4);
  const centre = async (name: string) => {
    const box = await page.locator("circle").filter({ hasText: name }).first().boundingBox();
    return { x: box!.x, y: box!.y };
  };
  const [matmul, attention] = [await centre("matmul.nt"), await centre("attention")];
  expect(matmul.x).toBeGreaterThan(attention.x);
  expect(matmul.y).toBeLessThan(attention.y);

  // A point leads to its row.
  await page.locator("circle").filter({ hasText: "attention" }).click();
  expect(await page.locator("tr:target td").first().textContent()).toBe("attention");
  expect(await page.evaluate("window.attacked")).toBeUndefined();
  expect(complaints).toEqual([]);
  await page.close();
});

it("fits a phone, and a report without a single point", async () => {
  const out = join(folder, "phone.html");
  writeFileSync(out, benchPage(report([line("rows.repeat", 1, { gflops: 0, flops: 0 })], { interrupted: true })));
  const { page, complaints } = await chromium.openFile(out);
  await page.setViewportSize({ width: 360, height: 700 });
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  expect(complaints).toEqual([]);
  await page.close();
});
