import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClipCap, decodeImage, modelFolder, openDevice } from "../../src/node.js";
import type { Device } from "../../src/runtime/device.js";

/** Greedy and beam captions of the shipped model by PyTorch in f32, for the test photos of Flickr8k. */
const SHARED = new URL("../../../shared/", import.meta.url);
const REFERENCE = new URL("models/flickr8k-small/test_greedy.json", SHARED);
const BATCH = 16;

interface Reference {
  readonly tokens: number[];
  readonly caption: string;
  readonly mean_logprob: number;
  readonly smallest_logit_gap: number;
  readonly beam5?: { readonly tokens: number[] };
}

if (existsSync(SHARED)) {
  describe("[shared] the shipped model on the test photos of Flickr8k", () => {
    const photos = Object.entries(JSON.parse(readFileSync(REFERENCE, "utf8")) as Record<string, Reference>);
    let device: Device;
    let model: ClipCap;

    beforeAll(async () => {
      device = await openDevice();
      model = await ClipCap.load(device, await modelFolder());
    });
    afterAll(() => device.close());

    async function captions(names: readonly string[], options: { beam?: number }) {
      const folder = new URL("data/flickr8k/images/", SHARED);
      const images = await Promise.all(names.map((name) => decodeImage(new URL(name, folder).pathname)));
      return (await model.caption(images, { ...options, batch: BATCH })).map(([best]) => best!);
    }

    test("greedy: PyTorch's tokens in at least 99.5 % of 1,000 photos, every difference a near-tie", async () => {
      expect(photos.length).toBe(1000);
      const different: number[] = [];
      for (let i = 0; i < photos.length; i += BATCH) {
        const batch = photos.slice(i, i + BATCH);
        const got = await captions(
          batch.map(([name]) => name),
          {},
        );
        batch.forEach(([, expected], k) => {
          const same = got[k]!.tokens.join() === expected.tokens.join();
          if (!same) different.push(expected.smallest_logit_gap);
          else expect(Math.abs(got[k]!.meanLogprob - expected.mean_logprob)).toBeLessThan(1e-3);
          if (same) expect(got[k]!.text).toBe(expected.caption);
        });
      }
      expect(different.length).toBeLessThanOrEqual(5);
      expect(Math.max(0, ...different)).toBeLessThan(1e-3);
    }, 600_000);

    test("five beams: PyTorch's tokens on 64 photos", async () => {
      const batch = photos.filter(([, { beam5 }]) => beam5).slice(0, 64);
      expect(batch.length).toBe(64);
      const got = await captions(
        batch.map(([name]) => name),
        { beam: 5 },
      );
      expect(got.map((c) => c.tokens.join())).toEqual(batch.map(([, { beam5 }]) => beam5!.tokens.join()));
    }, 600_000);
  });
} else {
  test("the test photos of Flickr8k are not here", () => {
    console.log("[shared] captions of the Flickr8k photos left out: ../shared is absent");
    expect(existsSync(SHARED)).toBe(false);
  });
}
