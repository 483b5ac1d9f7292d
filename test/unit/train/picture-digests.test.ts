import { expect, it } from "vitest";
import { ClipCapError } from "../../../src/runtime/errors.js";
import { changedPictures, pictureDigests } from "../../../src/train/node-picture-digests.js";

/** Pictures of one pixel, of which each shows its shade and some cannot be read. */
function pictures(shades: readonly (number | undefined)[]) {
  const read: number[] = [];
  const train = shades.map((shade, i) => ({
    id: `${i}`,
    captions: ["a"],
    split: undefined,
    decode: async () => {
      read.push(i);
      if (shade === undefined) throw new ClipCapError("not-found", `${i} does not exist`);
      return { width: 1, height: 1, data: Uint8Array.of(shade, 0, 0) };
    },
    stamp: async () => `${Math.random()}`, // of a file's time, which counts nothing
  }));
  return { read, data: { train: train.slice(1), dev: train.slice(0, 1) } };
}

const digests = (...shades: (number | undefined)[]) => pictureDigests(pictures(shades).data);

it("pictures that show something else are counted, and none that cannot be read", async () => {
  const before = await digests(1, 2, undefined, 4);
  expect(changedPictures(before, await digests(1, 2, undefined, 4))).toBe(0);
  expect(changedPictures(before, await digests(1, 9, undefined, 9))).toBe(2);
  expect(changedPictures(before, await digests(1, undefined, 3, 4))).toBe(0);
  expect(changedPictures([], before)).toBe(0); // of a checkpoint that has none
});

it("64 of many are looked at, from one end to the other", async () => {
  const { read, data } = pictures(Array.from({ length: 1000 }, (_, i) => i % 256));
  expect(await pictureDigests(data)).toHaveLength(64);
  expect([read.length, read[0], read[63]]).toEqual([64, 1, 985]);
});

it("embeddings that the data brings stand for its pictures", async () => {
  const { read, data } = pictures([1, 2]);
  const vectors = (value: number) => new Map(["0", "1"].map((id) => [id, Float32Array.of(value)]));
  const of = (value: number) => pictureDigests({ ...data, embeddings: { width: 1, vectors: vectors(value) } });
  expect(changedPictures(await of(1), await of(2))).toBe(2);
  expect(read).toEqual([]);
});
