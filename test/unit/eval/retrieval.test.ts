import { expect, it } from "vitest";
import { retrieve } from "../../../src/eval/retrieval.js";

const unit = (angle: number) => Float32Array.of(Math.cos(angle), Math.sin(angle));

it("counts what lies among the nearest, in both directions", () => {
  // Twelve pictures around a circle; texts lie at their pictures but for picture 0, whose texts lie behind two others.
  const angle = (i: number) => (i * Math.PI) / 6;
  const images = Array.from({ length: 12 }, (_, i) => unit(angle(i)));
  const texts = Array.from({ length: 12 }, (_, i) => (i === 0 ? [unit(1.2), unit(1.35)] : [unit(angle(i) + 0.01)]));
  const { imageToText, textToImage } = retrieve(images, texts);
  // Nearest to picture 0 are the texts of 1, 11, 10 (2 is further: its text is turned away) and then its own.
  expect(imageToText.recall).toEqual([11 / 12, 1, 1]);
  // 1.2 has pictures 2, 3, 1, 4 and then 0; 1.35 has 3, 2, 1, 4, 5 and then 0.
  // Of 13 texts, however many a picture has.
  expect(textToImage.recall).toEqual([11 / 13, 12 / 13, 1]);
  expect(textToImage.ci95[2]).toEqual([1, 1]);
  expect(imageToText.ci95[1]).toEqual([1, 1]);
  expect(imageToText.ci95[0]![0]).toBeGreaterThan(0.7);
  expect(imageToText.ci95[0]![1]).toBe(1);
});

it("agrees with sorting every row, whatever the lengths of vectors", () => {
  let state = 1;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647 - 0.5;
  const vector = () => Float32Array.from({ length: 8 }, random);
  const images = Array.from({ length: 40 }, vector);
  const texts = images.map((image, i) =>
    Array.from({ length: 1 + (i % 3) }, () => image.map((x) => 3 * (x + 1.5 * random()))),
  );
  const { imageToText, textToImage } = retrieve(images, texts);
  const cosine = (a: Float32Array, b: Float32Array) =>
    a.reduce((sum, x, i) => sum + x * b[i]!, 0) / Math.hypot(...a) / Math.hypot(...b);
  const all = texts.flatMap((own, image) => own.map((text) => ({ image, text })));
  const sorted = images.map((image) => [...all].sort((a, b) => cosine(image, b.text) - cosine(image, a.text)));
  const found = sorted.filter((row, image) => row.slice(0, 5).some((one) => one.image === image)).length;
  expect(imageToText.recall[1]).toBeCloseTo(found / 40, 12);
  const hits = all.map(({ image, text }) => {
    const order = [...images.keys()].sort((a, b) => cosine(images[b]!, text) - cosine(images[a]!, text));
    return order.indexOf(image) < 5;
  });
  expect(textToImage.recall[1]).toBeCloseTo(hits.filter((hit) => hit).length / all.length, 12);
  expect(textToImage.recall[1]).toBeGreaterThan(0.3);
  expect(textToImage.recall[1]).toBeLessThan(1);
});

it("puts the earlier one first where all are equal", () => {
  const same = Array.from({ length: 12 }, () => unit(1));
  const { imageToText, textToImage } = retrieve(
    same,
    same.map((text) => [text]),
  );
  expect(imageToText.recall).toEqual([1 / 12, 5 / 12, 10 / 12]);
  expect(textToImage.recall).toEqual([1 / 12, 5 / 12, 10 / 12]);
});

it("refuses embeddings of two CLIPs", () => {
  expect(() => retrieve([Float32Array.of(1, 2)], [[Float32Array.of(1, 2, 3)]])).toThrow(
    "embeddings have 2 and 3 values; take both from one CLIP",
  );
});
