import { expect, it } from "vitest";
import type { Preprocessing } from "../../../src/data/image/preprocess.js";
import { ClipCapError } from "../../../src/runtime/errors.js";
import { pixelInput } from "../../../src/train/images.js";

const preprocessing: Preprocessing = {
  ...{ width: 2, height: 2, resize: undefined, rescale: 1 },
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

/** A white picture that is read so many times and then not any more. */
function picture(id: string, times: number) {
  const white = { width: 4, height: 4, data: new Uint8Array(48).fill(255) };
  let left = times;
  const decode = async () => {
    if (left-- > 0) return white;
    throw new ClipCapError("bad-image", `${id} is no picture`);
  };
  return { id, captions: ["a"], split: undefined, decode, stamp: async () => "" };
}

it("a picture that cannot be read any more is said once and grey from then on", async () => {
  const said: string[] = [];
  const augmentation = { area: [1, 1], ratio: [1, 1], flip: false, jitter: 0 } as const;
  const images = [picture("whole", 9), picture("broken", 0)];
  const unreadable = ({ id }: { id: string }, { message }: Error) => said.push(`${id}: ${message}`);
  const input = pixelInput(images, { preprocessing, augmentation, seed: 1, unreadable });
  const grey = new Float32Array(12).fill(128);
  const [a, b] = await Promise.all([input.values(1, 0), input.values(1, 0)]);
  expect([a, b, await input.values(1)]).toEqual([grey, grey, grey]);
  expect(await input.values(0, 3)).toEqual(new Float32Array(12).fill(255));
  expect(said).toEqual(["broken: broken is no picture"]);
});

it("without somebody who hears of it, it is an error", async () => {
  const input = pixelInput([picture("broken", 0)], { preprocessing, augmentation: undefined, seed: 1 });
  await expect(input.values(0)).rejects.toThrow("broken is no picture");
});
