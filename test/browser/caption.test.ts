import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Caption, ClipCap, decodeImage, modelFolder, openDevice, type RgbImage } from "../../src/node.js";
import type { Captioned } from "./caption.page.js";
import { type Chromium, openChromium } from "./chromium.js";
import { drawPicture } from "./picture.js";

const PNG = "04_text_640x480.png";

let chromium: Chromium;
beforeAll(async () => {
  chromium = await openChromium();
});
afterAll(() => chromium?.close());

async function inNode(images: readonly RgbImage[]): Promise<{ captions: Caption[]; embedding: Float32Array }> {
  const device = await openDevice();
  try {
    const model = await ClipCap.load(device, await modelFolder("flickr8k-small"));
    const captions = (await model.caption(images)).map((list) => list[0]!);
    return { captions, embedding: (await model.embed(images.slice(0, 1)))[0]! };
  } finally {
    device.close();
  }
}

it("captions pictures in Chromium with the tokens that Node gives", async () => {
  const png = await decodeImage(fileURLToPath(new URL(`../goldens/images/${PNG}`, import.meta.url))); // as the page does
  const expected = await inNode([drawPicture(), png]);
  const got = await chromium.runInPage<object, Captioned>("caption.page.ts", {
    model: "/files/weights/flickr8k-small",
    png: `/files/test/goldens/images/${PNG}`,
  });
  expect(got.adapter).not.toBe("");
  expect(got.decoded).toBe(createHash("sha256").update(png.data).digest("hex"));
  expect(got.captions.map((c) => c.tokens)).toEqual(expected.captions.map((c) => c.tokens));
  expect(got.captions.map((c) => c.text)).toEqual(expected.captions.map((c) => c.text));
  for (const [i, caption] of got.captions.entries()) {
    expect(caption.tokens.length).toBeGreaterThan(3);
    expect(caption.logprob).toBeCloseTo(expected.captions[i]!.logprob, 2);
  }
  expect(got.pieces.join("").trim()).toBe(got.captions[0]!.text);
  expect(got.pieces.length).toBeGreaterThan(3);
  const error = got.embedding.reduce((sum, v, i) => sum + (v - expected.embedding[i]!) ** 2, 0);
  const power = expected.embedding.reduce((sum, v) => sum + v * v, 0);
  expect(error / power).toBeLessThan(1e-8);
  expect(got.progress[0]).toBeLessThan(0.2);
  expect(got.progress[1]).toBeCloseTo(1, 6);
  expect(got.usedAfterClose).toBe(0);
});
