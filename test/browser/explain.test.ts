import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { explanationPage } from "../../src/cli/explain/node-page.js";
import { HOSTILE } from "../unit/cli/explanation.js";
import { type Chromium, openChromium } from "./chromium.js";

const folder = mkdtempSync(join(tmpdir(), "clipcap-explain-page-"));
const file = join(folder, "explain.html");
let chromium: Chromium;
beforeAll(async () => {
  const picture = { width: 8, height: 8, data: new Uint8Array(192).fill(90) };
  writeFileSync(file, await explanationPage(HOSTILE, picture, picture));
  chromium = await openChromium();
});
afterAll(async () => {
  await chromium?.close();
  rmSync(folder, { recursive: true, force: true });
});

it.each(["light", "dark"] as const)("opens from disk without a request or an error: %s", async (scheme) => {
  const { page, complaints } = await chromium.openFile(file, scheme);
  const opacities = () =>
    page
      .locator(".layer")
      .first()
      .locator("rect")
      .evaluateAll((cells) => cells.map((cell) => Number(cell.getAttribute("fill-opacity"))));
  expect(await opacities()).toEqual([0.833, 0.167, 0.333, 1]);
  await page.locator("#head").selectOption("head 2");
  expect(await opacities()).toEqual([0, 0, 0.2, 1]);
  expect(await page.locator(".most").first().textContent()).toBe("50 %");
  expect(await page.locator(".itself").first().textContent()).toBe("40 %");

  const row = page.locator("tr[data-word]").nth(1);
  expect(await row.locator(".cell").allTextContents()).toEqual(["50", "25", "25"]);
  expect(await row.locator(".prefix-share").textContent()).toBe("75 %");
  await page.locator("#layer").selectOption("layer 2");
  expect(await row.locator(".cell").allTextContents()).toEqual(["75", "25", ""]);
  expect(await row.locator(".prefix-share").textContent()).toBe("100 %");
  await page.locator("#layer").selectOption("mean");
  expect(await row.locator(".cell").allTextContents()).toEqual(["50", "25", "25"]);

  expect(await page.evaluate("window.attacked")).toBeUndefined();
  expect(complaints).toEqual([]);
  await page.close();
});

it("fits a phone", async () => {
  const { page, complaints } = await chromium.openFile(file);
  await page.setViewportSize({ width: 360, height: 740 });
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
  expect(complaints).toEqual([]);
  await page.close();
});
