import { describe, expect, test } from "vitest";
import { parsePreprocessorConfig, preprocess, resizeAndCrop } from "../../src/data/image/preprocess.js";
import type { RgbImage } from "../../src/data/image/rgb.js";

const CLIP = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
  rescale: 1 / 255,
};

/** Red counts columns and green counts rows, so that a crop shows its offset. */
function ruler(width: number, height: number): RgbImage {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const pixel = Math.trunc(i / 3);
    return [pixel % width, Math.trunc(pixel / width), 0][i % 3]!;
  });
  return { width, height, data };
}

describe("parsePreprocessorConfig", () => {
  test("an empty object means CLIP's defaults", () => {
    const resize = { kind: "shortest", edge: 224 };
    expect(parsePreprocessorConfig({})).toEqual({ width: 224, height: 224, resize, ...CLIP });
  });

  test("sizes as numbers, the form of early files", () => {
    const p = parsePreprocessorConfig({ size: 288, crop_size: 280, feature_extractor_type: "CLIPFeatureExtractor" });
    expect([p.width, p.height, p.resize]).toEqual([280, 280, { kind: "shortest", edge: 288 }]);
  });

  test("the shipped model: 112x112, aspect ratio not kept, no crop", () => {
    const p = parsePreprocessorConfig({ size: { height: 112, width: 112 }, do_center_crop: false, resample: 3 });
    expect(p).toEqual({ width: 112, height: 112, resize: { kind: "exact" }, ...CLIP });
    expect(resizeAndCrop(ruler(200, 50), p).data.length).toBe(112 * 112 * 3);
  });

  test("switches: no resize, no rescale, no normalisation", () => {
    const p = parsePreprocessorConfig({ do_resize: false, crop_size: 3, do_rescale: false, do_normalize: false });
    expect(p).toEqual({ width: 3, height: 3, resize: undefined, rescale: 1, mean: [0, 0, 0], std: [1, 1, 1] });
    expect([...preprocess(ruler(5, 5), p)]).toEqual([
      1,
      2,
      3,
      1,
      2,
      3,
      1,
      2,
      3,
      1,
      1,
      1,
      2,
      2,
      2,
      3,
      3,
      3,
      ...Array(9).fill(0),
    ]);
  });

  test.each([
    [[], "must be a JSON object"],
    [null, "must be a JSON object"],
    [{ resample: 2 }, '"resample" must be 3 (bicubic), not 2'],
    [{ size: { longest_edge: 224 } }, '"width" must be a whole number from 1 to 4096, not missing'],
    [{ size: { shortest_edge: 224.5 } }, '"shortest_edge" must be a whole number'],
    [{ size: 0 }, '"size" must be a whole number from 1 to 4096, not 0'],
    [{ size: "224" }, '"size" must be a whole number'],
    [{ size: 1e9, crop_size: 224 }, "from 1 to 4096"],
    [{ size: 100, crop_size: 224 }, '"crop_size" must be at most the 100 pixels of "size"'],
    [{ size: { height: 10, width: 20 }, crop_size: 10 }, 'the 20x10 pixels of "size"'],
    [{ do_center_crop: false }, '"do_center_crop" must be true where "size" is the shortest edge'],
    [{ do_center_crop: false, do_resize: false }, '"do_center_crop" must be true where do_resize is false'],
    [{ do_resize: "yes" }, '"do_resize" must be true or false'],
    [{ do_convert_rgb: 1 }, '"do_convert_rgb" must be true or false'],
    [{ rescale_factor: 0 }, '"rescale_factor" must be a number'],
    [{ image_mean: [0, 0] }, '"image_mean" must be three numbers'],
    [{ image_std: [1, 0, 1] }, '"image_std" must be three numbers'],
    [{ image_std: [1, "1", 1] }, '"image_std" must be three numbers'],
  ])("refuses %o", (json, message) => {
    expect(() => parsePreprocessorConfig(json, "clip/preprocessor_config.json")).toThrow(message);
    expect(() => parsePreprocessorConfig(json, "clip/preprocessor_config.json")).toThrow(
      "clip/preprocessor_config.json",
    );
  });
});

describe("resizeAndCrop", () => {
  const crop = (edge: number) => parsePreprocessorConfig({ do_resize: false, crop_size: edge });

  // Margins of 1, 3, 5 and 7 pixels: torchvision rounds half to even, Hugging Face rounds down.
  test.each([
    [1, 0, 0],
    [2, 1, 1],
    [3, 2, 1],
    [5, 2, 2],
    [7, 4, 3],
  ])("a margin of %i starts at %i (torchvision) or %i (hf)", (margin, torchvision, hf) => {
    const image = ruler(4 + margin, 4);
    expect(resizeAndCrop(image, crop(4), "torchvision").data[0]).toBe(torchvision);
    expect(resizeAndCrop(image, crop(4), "hf").data[0]).toBe(hf);
    expect(resizeAndCrop(image, crop(4)).data[0]).toBe(torchvision);
  });

  test("an image smaller than the crop is refused where the model does not resize", () => {
    expect(() => resizeAndCrop(ruler(4, 3), crop(4))).toThrow(
      "crops without resizing to 4x4 pixels, but this image has 4x3",
    );
  });
});

test("preprocess is planar and rounds every step to f32", () => {
  const p = parsePreprocessorConfig({ size: 4, crop_size: 4 });
  const image = ruler(4, 4);
  const values = preprocess(image, p);
  expect(values.length).toBe(48);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < 16; i++) {
      const scaled = Math.fround(Math.fround(image.data[i * 3 + c]! / 255) - Math.fround(CLIP.mean[c]!));
      expect(values[c * 16 + i]).toBe(Math.fround(scaled / Math.fround(CLIP.std[c]!)));
    }
  }
});
