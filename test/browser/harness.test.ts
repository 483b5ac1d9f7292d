import { afterAll, beforeAll, expect, it } from "vitest";
import { type Chromium, openChromium } from "./chromium.js";

let chromium: Chromium;
beforeAll(async () => {
  chromium = await openChromium();
});
afterAll(() => chromium?.close());

it("computes with WebGPU in Chromium", async () => {
  const values = Array.from({ length: 1000 }, (_, i) => i - 500);
  const result = await chromium.runInPage<number[], { adapter: string; values: number[] }>("smoke.page.ts", values);
  expect(result.adapter).not.toBe("");
  expect(result.values).toEqual(values.map((x) => 3 * x + 1));
});

it("serves the small model, whole and by range", async () => {
  expect(await chromium.runInPage("faulty.page.ts", "none")).toMatch(/^206 bytes 2-8\/\d+ 7$/);
});

it.each([
  ["throw", /run: .*thrown on purpose/],
  ["log", /console: logged on purpose/],
  ["request", /absent\.json: status 404/],
  ["escape", /package\.json: status 404/],
])("fails when the page does: %s", async (fault, message) => {
  await expect(chromium.runInPage("faulty.page.ts", fault)).rejects.toThrow(message);
});

it("says how to get Chromium where there is none", async () => {
  const before = process.env.CLIPCAP_CHROMIUM;
  process.env.CLIPCAP_CHROMIUM = "/nonexistent/chromium";
  try {
    await expect(openChromium()).rejects.toThrow(/apt install chromium.*CLIPCAP_CHROMIUM/);
  } finally {
    if (before === undefined) delete process.env.CLIPCAP_CHROMIUM;
    else process.env.CLIPCAP_CHROMIUM = before;
  }
});
