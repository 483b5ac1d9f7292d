import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { amount, type Measurement } from "../../src/bench/end-to-end/measurement.js";
import { endToEndPage } from "../../src/bench/end-to-end/page/node-page.js";
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

it.each(["light", "dark"] as const)("draws what grows with what, end to end: %s", async (scheme) => {
  const out = join(folder, `curves-${scheme}.html`);
  const point = (value: number, x: number, line: string): Measurement =>
    amount({ what: "decode step", model: ATTACK, how: `${x}`, place: { axis: "images", x, line } }, value, "ms");
  const measurements = [point(50, 1, "a"), point(90, 2, "a"), point(40, 1, ATTACK), point(160, 4, ATTACK)];
  const { results: _, ...head } = report([], { driver: ATTACK });
  writeFileSync(out, endToEndPage({ ...head, measurements }));
  const { page, complaints } = await chromium.openFile(out, scheme);
  expect(await page.locator("canvas").count()).toBe(1);
  expect(await page.locator(".u-legend .u-series").count()).toBe(3);
  expect(await page.locator(".scroll tbody tr").count()).toBe(measurements.length);
  // The lines are there: pixels in colours that neither the grid nor the text has.
  const coloured = await page.evaluate(() => {
    const canvas = document.querySelector("canvas")!;
    const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      const [r, g, b, a] = data.subarray(i, i + 4);
      if (a! > 200 && Math.max(r!, g!, b!) - Math.min(r!, g!, b!) > 80) count++;
    }
    return count;
  });
  expect(coloured).toBeGreaterThan(500);
  await page.setViewportSize({ width: 360, height: 700 });
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  expect(await page.evaluate("window.attacked")).toBeUndefined();
  expect(complaints).toEqual([]);
  await page.close();
});
