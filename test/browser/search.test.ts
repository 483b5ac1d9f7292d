import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { searchPage } from "../../src/cli/search-page.js";
import { type Chromium, openChromium } from "./chromium.js";

const folder = mkdtempSync(join(tmpdir(), "clipcap-found-"));
const PICTURE = fileURLToPath(new URL("../../examples/pictures/white-dog-snow.svg", import.meta.url));
let chromium: Chromium;
beforeAll(async () => {
  chromium = await openChromium();
});
afterAll(async () => {
  await chromium?.close();
  rmSync(folder, { recursive: true, force: true });
});

it("shows what was found under hostile names, from disk, without a request or an error", async () => {
  const hostile = join(folder, `"><img src=x onerror="window.attacked = 1"> #?%20.svg`);
  cpSync(PICTURE, hostile);
  const hits = [PICTURE, hostile, join(folder, "gone.png")].map((file, i) => ({ file, score: 0.5 - i / 10 }));
  const out = join(folder, "found.html");
  for (const query of [{ words: `<script>window.attacked = 1</script>` }, { like: hostile }]) {
    writeFileSync(out, await searchPage(query, hits, 12));
    const { page, complaints } = await chromium.openFile(out, "dark");
    expect(await page.locator(".found .hit").count()).toBe(3);
    const widths = await page
      .locator(".found img")
      .evaluateAll((images) => images.map((img) => (img as HTMLImageElement).naturalWidth));
    expect(widths.every((width) => width > 100) && widths.length).toBe(2);
    expect(await page.locator(".found a").nth(1).getAttribute("href")).toBe(pathToFileURL(hostile).href);
    expect(await page.evaluate("window.attacked")).toBeUndefined();
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
    expect(complaints).toEqual([]);
    await page.close();
  }
});
