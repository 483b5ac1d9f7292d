import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { sceneCaptions } from "../../src/data/scenes/captions.js";
import { makeScene } from "../../src/data/scenes/scene.js";
import { pinnedPixels } from "../unit/scenes.pixels.js";
import { type Chromium, openChromium } from "./chromium.js";
import type { Drawn } from "./scenes.page.js";

let chromium: Chromium;
beforeAll(async () => {
  chromium = await openChromium();
});
afterAll(() => chromium?.close());

it("draws scenes in Chromium with the bits of Node, and says the same of them", async () => {
  const got = await chromium.runInPage<number, Drawn>("scenes.page.ts", 500);
  expect(got.pixels).toEqual(pinnedPixels().map((data) => createHash("sha256").update(data).digest("hex")));
  expect(got.captions).toEqual(Array.from({ length: 500 }, (_, i) => sceneCaptions(makeScene(1, i))));
});
