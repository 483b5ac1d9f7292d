import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDataset } from "../../src/data/captions/node-open.js";
import { AS_WRITTEN } from "../../src/data/captions/normalise.js";
import { captionRest } from "../../src/eval/captioning.js";
import { captionsOf, EvalFiles } from "../../src/eval/node-files.js";
import { stamped, testImages } from "../../src/eval/node-test-images.js";
import { retrieve } from "../../src/eval/retrieval.js";
import { scoreSystem, testSet } from "../../src/eval/scoring.js";
import { CLIP_SCORE_PROMPT } from "../../src/metrics/clip-score.js";
import { ClipTextEncoder } from "../../src/models/clip-text-encoder.js";
import { ClipCap, type Device, modelFolder, openDevice } from "../../src/node.js";

const SHARED = new URL("../../../shared/", import.meta.url);
const PHOTOS = 20;

if (existsSync(SHARED)) {
  describe(`[shared] an evaluation on ${PHOTOS} test photos of Flickr8k`, () => {
    const folder = mkdtempSync(join(tmpdir(), "clipcap-flickr-"));
    let device: Device;
    beforeAll(async () => {
      device = await openDevice();
    });
    afterAll(() => {
      device?.close();
      rmSync(folder, { recursive: true });
    });

    test("captions are PyTorch's; CLIP tells their own photos from others", async () => {
      const path = fileURLToPath(new URL("data/flickr8k/captions.jsonl", SHARED));
      const data = await openDataset(path, { normalise: AS_WRITTEN });
      const images = testImages(data, "test", PHOTOS);
      const model = await ClipCap.load(device, await modelFolder());
      const ids = images.map(({ id }) => id);
      const files = await EvalFiles.open(folder, { test: 1 }, { images: await stamped(images), batch: 8, width: 256 });
      await captionRest(model, images, files, {
        decoding: {},
        batch: 8,
        signal: new AbortController().signal,
        onProgress: () => {},
        onUnreadable: (error) => expect.fail(error.message),
      });
      model.close();
      const reference = JSON.parse(readFileSync(new URL("models/flickr8k-small/test_greedy.json", SHARED), "utf8"));
      const captions = captionsOf(files.lines).map(({ caption }) => caption);
      expect(captions).toEqual(ids.map((id) => reference[id].caption));

      const encoder = await ClipTextEncoder.load(device, await modelFolder());
      const prompted = (texts: readonly string[]) => encoder.embed(texts.map((text) => CLIP_SCORE_PROMPT + text));
      const vectors = await prompted(captions);
      const references = await Promise.all(images.map((image) => prompted(image.captions)));
      const texts = await Promise.all(images.map((image) => encoder.embed(image.captions)));
      encoder.close();
      const clip = { images: files.embeddings, references };
      const own = scoreSystem("own", captions, testSet(images, undefined, clip), vectors);
      const turned = { images: [...files.embeddings.slice(1), files.embeddings[0]!], references };
      const other = scoreSystem("other", captions, testSet(images, undefined, turned), vectors);
      const of = (system: typeof own, name: string) => system.metrics.find((metric) => metric.name === name)!.value;
      expect(of(own, "CLIPScore")).toBeGreaterThan(of(other, "CLIPScore") + 0.2);
      expect(of(own, "RefCLIPScore")).toBeGreaterThan(of(other, "RefCLIPScore") + 0.05);
      // By chance 0.25 of the photos and 0.5 of the texts would find theirs among ten.
      const { imageToText, textToImage } = retrieve(clip.images, texts);
      expect(imageToText.recall[2]).toBeGreaterThan(0.7);
      expect(textToImage.recall[2]).toBeGreaterThan(0.7);
    }, 300_000);
  });
} else {
  test("the test photos of Flickr8k are not here", () => {
    console.log("[shared] an evaluation on Flickr8k photos left out: ../shared is absent");
    expect(existsSync(SHARED)).toBe(false);
  });
}
