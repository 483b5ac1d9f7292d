import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeReport } from "../../src/train/report/node-report.js";
import { type Chromium, openChromium } from "./chromium.js";

const ATTACK = `</script><script>window.attacked = 1</script><img src=x onerror="window.attacked = 1">`;

const folder = mkdtempSync(join(tmpdir(), "clipcap-report-"));
let chromium: Chromium;
beforeAll(async () => {
  chromium = await openChromium();
});
afterAll(async () => {
  await chromium?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A run of 200 recorded steps whose texts try to break out of the page; the last line is cut off. */
async function writeRun(name: string): Promise<string> {
  const run = join(folder, name);
  mkdirSync(join(run, "samples"), { recursive: true });
  const lines = (records: readonly object[]) => records.map((record) => `${JSON.stringify(record)}\n`).join("");
  const steps = Array.from({ length: 200 }, (_, i) => 10 * (i + 1));
  const train = steps.map((step) => {
    const loss = 2 + 6 * Math.exp(-step / 300) + 0.1 * Math.sin(step);
    return { kind: "train", step, epoch: step / 46, loss, lr: 6e-4, grad_norm: 1 + Math.cos(step) ** 2, seconds: step };
  });
  const dev = [500, 1000, 1500].map((step) => ({ kind: "dev", step, epoch: step / 46, loss: 3, right: step / 2000 }));
  const event = { kind: "event", step: 500, text: ATTACK };
  writeFileSync(join(run, "metrics.jsonl"), `${lines([...train, ...dev, event])}{"kind":"tr`);
  writeFileSync(join(run, "config.json"), JSON.stringify({ data: ATTACK }));
  const sample = { id: ATTACK, references: [ATTACK], picture: "samples/0.png" };
  const captions = [500, 1000].map((step) => ({ ...sample, step, caption: `${ATTACK} at ${step}` }));
  writeFileSync(join(run, "samples.jsonl"), lines(captions));
  const picture = sharp({ create: { width: 32, height: 32, channels: 3, background: "teal" } });
  await picture.png().toFile(join(run, "samples", "0.png"));
  return run;
}

/** How many pixels of each chart are drawn on. */
function inkOf(page: Page): Promise<number[]> {
  return page.locator(".plot canvas").evaluateAll((canvases) =>
    canvases.map((element) => {
      const canvas = element as HTMLCanvasElement;
      const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((value, i) => i % 4 === 3 && value > 0).length;
    }),
  );
}

it.each(["light", "dark"] as const)(
  "shows two hostile runs from disk without a request or an error: %s",
  async (scheme) => {
    const out = join(folder, `${scheme}.html`);
    const summaries = await writeReport([await writeRun("a"), await writeRun("b")], out);
    expect(
      summaries.map(({ name, steps, bestDevLoss, brokenLines }) => [name, steps, bestDevLoss, brokenLines]),
    ).toEqual([
      ["a", 2000, 3, 1],
      ["b", 2000, 3, 1],
    ]);
    expect(statSync(out).size).toBeLessThan(500_000);
    const { page, complaints } = await chromium.openFile(out, scheme);

    const titles = await page.locator(".chart h3").allTextContents();
    expect(titles).toEqual(["Loss", "Scenes described rightly", "Learning rate", "Gradient norm"]);
    const ink = await inkOf(page);
    expect(ink).toHaveLength(4);
    for (const pixels of ink) expect(pixels).toBeGreaterThan(1000);

    // A hidden run leaves less ink; another axis draws anew.
    await page.getByRole("checkbox", { name: "b" }).uncheck();
    expect((await inkOf(page))[0]).toBeLessThan(ink[0]!);
    await page.getByRole("radio", { name: "Time" }).check({ force: true });
    await page.getByRole("checkbox", { name: "Logarithmic losses" }).check();
    expect((await inkOf(page))[0]).toBeGreaterThan(1000);

    const caption = page.locator(".now .caption").first();
    expect(await caption.textContent()).toBe(`${ATTACK} at 1000`);
    await page.getByLabel("Captions at step").fill("0");
    expect(await caption.textContent()).toBe(`${ATTACK} at 500`);
    expect(await page.locator(".sample img").evaluate((img) => (img as HTMLImageElement).naturalWidth)).toBe(32);

    expect(await page.evaluate("window.attacked")).toBeUndefined();
    expect(complaints).toEqual([]);
    await page.close();
  },
);

it("fits a phone", async () => {
  const out = join(folder, "phone.html");
  await writeReport([await writeRun("a"), await writeRun("b")], out);
  const { page, complaints } = await chromium.openFile(out);
  await page.setViewportSize({ width: 360, height: 700 });
  await expect.poll(() => page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  expect(complaints).toEqual([]);
  await page.close();
});

it("says that a run has recorded nothing yet", async () => {
  const run = join(folder, "empty");
  mkdirSync(run);
  writeFileSync(join(run, "metrics.jsonl"), '{"kind":"train","st');
  const out = join(run, "report.html");
  await writeReport([run], out);
  const { page, complaints } = await chromium.openFile(out);
  expect(await page.locator("main").textContent()).toContain("This run has recorded nothing yet");
  expect(await page.locator("canvas").count()).toBe(0);
  expect(complaints).toEqual([]);
  await page.close();
});

it("would notice a request, an error and a blocked script", async () => {
  const out = join(folder, "faulty.html");
  writeFileSync(
    out,
    '<!doctype html><img src="http://127.0.0.1:9/x.png"><script>throw new Error("on purpose")</script>',
  );
  const { page, complaints } = await chromium.openFile(out);
  expect(complaints.join("\n")).toMatch(/request: http:\/\/127\.0\.0\.1:9\/x\.png/);
  expect(complaints.join("\n")).toMatch(/uncaught: on purpose/);
  await page.close();
});
