import { createHash } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeImage } from "../../src/data/image/decode-node.js";
import {
  type Preprocessing,
  parsePreprocessorConfig,
  preprocess,
  resizeAndCrop,
} from "../../src/data/image/preprocess.js";
import type { RgbImage } from "../../src/data/image/rgb.js";
import type { TensorFile } from "../../src/weights/tensor-file.js";
import { goldenJson, goldenPath, goldenTensors } from "../goldens.js";

interface GoldenImage {
  readonly file: string;
  readonly size: readonly [number, number];
  readonly exif_orientation: number | null;
  readonly source_rgb_sha256: string;
}

interface Golden {
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly grid_rows_and_columns: readonly number[];
  readonly images: readonly GoldenImage[];
}

const golden = goldenJson<Golden>("preprocess.json");

function clip(edge: number): Preprocessing {
  return parsePreprocessorConfig({
    size: { shortest_edge: edge },
    crop_size: { height: edge, width: edge },
    image_mean: golden.mean,
    image_std: golden.std,
  });
}

/** Position and values of the first difference, so that a failure says more than "arrays differ". */
function firstDifference(got: Uint8Array, want: Uint8Array): string {
  if (got.length !== want.length) return `length ${got.length} instead of ${want.length}`;
  const at = got.findIndex((value, i) => value !== want[i]);
  return at < 0 ? "none" : `byte ${at} is ${got[at]} instead of ${want[at]}`;
}

let tensors: TensorFile;
beforeAll(async () => {
  tensors = await goldenTensors("preprocess.safetensors");
});

test("the set holds its 14 images", () => expect(golden.images.length).toBe(14));

describe.each(golden.images.map((image) => [image.file, image] as const))("%s", (file, entry) => {
  let source: RgbImage;
  beforeAll(async () => {
    source = await decodeImage(goldenPath("images", file), { rawOrientation: true });
  });

  test("decodes to Pillow's bytes", async () => {
    expect([source.width, source.height]).toEqual(entry.size);
    if (tensors.tensors.has(`${file}/source_rgb`)) {
      const want = await tensors.readBytes(`${file}/source_rgb`);
      expect(firstDifference(source.data, want)).toBe("none");
    }
    expect(createHash("sha256").update(source.data).digest("hex")).toBe(entry.source_rgb_sha256);
  });

  test.each([
    ["torchvision", 224, "torchvision"],
    ["hf", 224, "hf"],
    ["torchvision_32", 32, "torchvision"],
  ] as const)("resized and cropped as %s equals Pillow's bytes", async (key, edge, crop) => {
    const view = resizeAndCrop(source, clip(edge), crop);
    expect([view.width, view.height]).toEqual([edge, edge]);
    expect(firstDifference(view.data, await tensors.readBytes(`${file}/${key}`))).toBe("none");
  });

  // The golden is computed in f64, ours step by step in f32 as torchvision does: within two units in the last place.
  test("normalised values", async () => {
    const values = preprocess(source, clip(224));
    const want = new Float32Array((await tensors.readBytes(`${file}/normalised_grid`)).slice().buffer);
    const grid = golden.grid_rows_and_columns;
    let largest = 0;
    for (let c = 0; c < 3; c++) {
      grid.forEach((y, row) => {
        grid.forEach((x, column) => {
          const got = values[c * 224 * 224 + y * 224 + x]!;
          largest = Math.max(largest, Math.abs(got - want[(c * 8 + row) * 8 + column]!));
        });
      });
    }
    expect(want.length).toBe(192);
    expect(largest).toBeLessThan(5e-7);
  });

  test("the EXIF orientation is applied unless refused", async () => {
    const upright = await decodeImage(goldenPath("images", file));
    const turned = (entry.exif_orientation ?? 1) >= 5;
    expect([upright.width, upright.height]).toEqual(turned ? [entry.size[1], entry.size[0]] : entry.size);
    if (!turned) expect(firstDifference(upright.data, source.data)).toBe("none");
    // Orientation 6 means: turn by 90 degrees clockwise, so the first row is the first column from below.
    if (entry.exif_orientation === 6) {
      for (let x = 0; x < upright.width; x++) {
        const from = (source.height - 1 - x) * source.width * 3;
        expect(upright.data.subarray(x * 3, x * 3 + 3)).toEqual(source.data.subarray(from, from + 3));
      }
    }
  });
});
