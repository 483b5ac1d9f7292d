import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { CaptionedImage } from "../../src/data/captions/dataset.js";
import { evalPage } from "../../src/eval/report/node-page.js";
import type { EvalResult } from "../../src/eval/result.js";
import { compareSystems, scoreSystem, testSet } from "../../src/eval/scoring.js";
import { type Chromium, openChromium } from "./chromium.js";

const ATTACK = `</script><script>window.attacked = 1</script><img src=x onerror="window.attacked = 1">`;
const IMAGES = 60;

const folder = mkdtempSync(join(tmpdir(), "clipcap-eval-page-"));
let chromium: Chromium;
beforeAll(async () => {
  chromium = await openChromium();
});
afterAll(async () => {
  await chromium?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Sixty pictures whose captions get worse with their number, by two systems with hostile names and texts. */
async function writePage(name: string): Promise<string> {
  const images = Array.from({ length: IMAGES }, (_, i): CaptionedImage => {
    const words = Array.from({ length: 12 }, (_, k) => `w${i}x${k}`);
    const decode = async () => {
      return { width: 40, height: 30, data: new Uint8Array(3600).fill(4 * i) };
    };
    // Long, so that the other reference is the one of closest length, which BLEU goes by.
    const hostile = `${ATTACK} `.repeat(3);
    return { id: `${i} ${ATTACK}`, captions: [words.join(" "), hostile], split: "test", decode, stamp: async () => "" };
  });
  const captions = images.map((image, i) =>
    image.captions[0]!.split(" ")
      .slice(0, Math.floor((IMAGES - i) / 5))
      .join(" "),
  );
  const set = testSet(images, ["a dog"], undefined);
  const systems = [captions, captions.toReversed()].map((own, i) => scoreSystem(`${i} ${ATTACK}`, own, set, undefined));
  const result: EvalResult = {
    data: ATTACK,
    split: "test",
    decoding: "greedy",
    tuned: null,
    set,
    leftOut: [ATTACK],
    systems,
    comparisons: [compareSystems(systems[0]!, systems[1]!)],
    retrieval: undefined,
  };
  const out = join(folder, name);
  const words = Array.from({ length: 9 }, (_, i) => ({
    text: ` ${ATTACK} ${i}`,
    prefix: Array(10).fill((9 - i) / 90),
  }));
  const attention = new Map(images.map((_, i) => [i, words]));
  writeFileSync(out, await evalPage(result, images, attention));
  return out;
}

const firstNumbers = (page: Page) =>
  page
    .locator(".photo h3")
    .evaluateAll((names) => names.slice(0, 3).map((name) => Number.parseInt(name.textContent!, 10)));

it.each(["light", "dark"] as const)(
  "shows hostile captions from disk without a request or an error: %s",
  async (scheme) => {
    const out = await writePage(`${scheme}.html`);
    expect(statSync(out).size).toBeLessThan(600_000);
    const { page, complaints } = await chromium.openFile(out, scheme);
    expect(await page.locator(".photo").count()).toBe(48);
    const random = await firstNumbers(page);
    expect(random).not.toEqual([0, 1, 2]);
    await page.getByRole("radio", { name: "Best first" }).check({ force: true });
    expect((await firstNumbers(page)).every((i) => i < 10)).toBe(true);
    await page.getByRole("radio", { name: "Worst first" }).check({ force: true });
    expect((await firstNumbers(page)).every((i) => i > 50)).toBe(true);
    await page.getByRole("radio", { name: "Random" }).check({ force: true });
    expect(await firstNumbers(page)).toEqual(random);
    await page.locator('select[name="metric"]').selectOption("BLEU-1"); // has no meaning in random order: the best come first
    expect(await page.getByRole("radio", { name: "Best first" }).isChecked()).toBe(true);
    expect((await firstNumbers(page)).every((i) => i < 10)).toBe(true);

    const details = page.locator(".photo details").first();
    expect(await details.locator("summary").textContent()).toBe("Attention on the prefix: 56 %");
    expect(await details.locator("li b").allTextContents()).toEqual(
      [100, 89, 78, 67, 56, 44, 33, 22, 11].map((share) => `${share} %`),
    );
    expect(await details.locator("i").count()).toBe(10);

    const widths = await page
      .locator(".photo img")
      .evaluateAll((all) => all.map((img) => (img as HTMLImageElement).width));
    expect(widths.length).toBe(48);
    const cells = await page.locator("table").first().locator("tbody tr").first().locator("td").allTextContents();
    expect(cells.length).toBe(3); // score, other score, difference
    expect(await page.evaluate("window.attacked")).toBeUndefined();
    expect(complaints).toEqual([]);
    await page.close();
  },
);

it("fits a phone", async () => {
  const { page, complaints } = await chromium.openFile(await writePage("phone.html"));
  await page.setViewportSize({ width: 360, height: 740 });
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
  expect(complaints).toEqual([]);
  await page.close();
});
