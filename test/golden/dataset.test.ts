import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openDataset } from "../../src/data/captions/node-open.js";
import { AS_WRITTEN } from "../../src/data/captions/normalise.js";
import { ProblemLog } from "../../src/data/captions/problems.js";
import { readTrainingPickle } from "../../src/data/captions/training-pickle.js";
import { ClipCapError } from "../../src/runtime/errors.js";
import { f16ToF32 } from "../../src/weights/float.js";
import { readPickle } from "../../src/weights/pickle.js";
import { type PickledTensor, pickledTensorGlobals } from "../../src/weights/torch-pickled.js";
import { goldenJson, goldenPath } from "../goldens.js";

interface Golden {
  readonly embedding_shape: [number, number];
  readonly embedding_first4: number[][];
  readonly embedding_sum: number;
  readonly captions: { readonly image_id: number; readonly caption: string; readonly clip_embedding: number }[];
}

const PATH = goldenPath("train_data.pkl");
const golden = goldenJson<Golden>("dataset.json");
/** What stands before the values: their number. */
const countBytes = (count: number) => new Uint8Array(BigInt64Array.of(BigInt(count)).buffer);
const idOf = (image: number) => String(image).padStart(12, "0");

test("the original's training data: captions row by row, embeddings by image", () => {
  const problems = new ProblemLog("train_data.pkl");
  const { width, rows, vectors } = readTrainingPickle("train_data.pkl", readFileSync(PATH), problems);
  expect(width).toBe(golden.embedding_shape[1]);
  expect([...rows].map(({ id, captions }) => [id, captions])).toEqual(
    golden.captions.map(({ image_id, caption }) => [idOf(image_id), [caption]]),
  );
  for (const { image_id, clip_embedding: row } of golden.captions) {
    const vector = vectors.get(idOf(image_id))!;
    expect(vector.length).toBe(width);
    expect([...vector.subarray(0, 4)]).toEqual(golden.embedding_first4[row]);
  }
  expect(problems.counts).toEqual({ row: 0, caption: 0, image: 0, picture: 0 });
});

test("as a data set: an image once, with all its captions and its embedding", async () => {
  const data = await openDataset(PATH, { normalise: AS_WRITTEN });
  expect(data.format).toBe("original");
  const images = [...new Set(golden.captions.map(({ image_id }) => image_id))];
  expect(data.images.map(({ id, captions }) => ({ id, captions }))).toEqual(
    images.map((image) => {
      const captions = golden.captions.filter(({ image_id }) => image_id === image).map(({ caption }) => caption);
      return { id: idOf(image), captions };
    }),
  );
  expect([...data.embeddings!.vectors.keys()]).toEqual(images.map(idOf));
  await expect(data.images[0]!.decode()).rejects.toThrow("holds embeddings and no pictures");
});

test("every row of the tensor", () => {
  const reader = { globals: pickledTensorGlobals(PATH), persistent: () => null };
  const value = readPickle(PATH, readFileSync(PATH), reader) as unknown as Map<string, PickledTensor>;
  const { shape, dtype, bytes } = value.get("clip_embedding")!;
  expect([dtype, shape]).toEqual(["F16", golden.embedding_shape]);
  const values = f16ToF32(new Uint16Array(Uint8Array.from(bytes).buffer));
  const first4 = golden.embedding_first4.map((_, row) => [...values.subarray(row * shape[1]!, row * shape[1]! + 4)]);
  expect(first4).toEqual(golden.embedding_first4);
  expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(golden.embedding_sum, 10);
});

test("a row with NaN is left out and said", () => {
  const bytes = Uint8Array.from(readFileSync(PATH));
  const { clip_embedding: row } = golden.captions[0]!;
  const [rows, width] = golden.embedding_shape;
  const values = Buffer.from(bytes).indexOf(countBytes(rows * width)) + 8;
  bytes.set([0, 0x7e], values + 2 * row * width);
  const problems = new ProblemLog("f");
  const left = [...readTrainingPickle("f", bytes, problems).rows];
  const hit = golden.captions.filter(({ clip_embedding }) => clip_embedding === row).length;
  expect(left.length).toBe(golden.captions.length - hit);
  expect(problems.kept[0]!.message).toBe(`f, captions[0]: the embedding in row ${row} holds NaN or infinity.`);
});

test("any byte changed, any end cut off: a data set, problems or a clear error", () => {
  const whole = readFileSync(PATH);
  const damage = fc.record({ at: fc.nat(whole.length - 1), value: fc.nat(255), cut: fc.boolean() });
  fc.assert(
    fc.property(damage, ({ at, value, cut }) => {
      const bytes = Uint8Array.from(cut ? whole.subarray(0, at) : whole);
      if (!cut) bytes[at] = value;
      try {
        const { rows, vectors } = readTrainingPickle("f", bytes, new ProblemLog("f"));
        for (const { id } of rows) expect(vectors.get(id)!.every(Number.isFinite)).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(ClipCapError);
        expect((error as ClipCapError).code).toBe("bad-input");
      }
    }),
    { seed: 1, numRuns: 2000 },
  );
});
