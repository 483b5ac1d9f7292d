import { expect, it } from "vitest";
import { countLabels, packBatch, shapeOf, type Text } from "../../../src/train/batch.js";

const K = 3;
const options = { prefixLength: K, maxTokens: 10, maxTextTokens: 16, weight: 0.25 };
const texts: Text[] = [
  { gpt2: [5, 6, 7, 8, 9], clip: [1, 5, 2] },
  { gpt2: [0, 4], clip: [1, 5, 6, 7, 2] },
];

it("pads as little as the step of lengths allows, and labels what is there", () => {
  const batch = packBatch(texts, 2, new Float32Array(2), options);
  expect(batch.shape).toEqual({ images: 2, batch: 2, tokens: 8, labels: 8, textTokens: 8 });
  expect([...batch.ids]).toEqual([5, 6, 7, 8, 9, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0]);
  // Position K - 1 + t of each joined sequence of K + 8 predicts token t.
  expect([...batch.rows]).toEqual([2, 3, 4, 5, 6, 13, 14, 0]);
  expect([...batch.targets]).toEqual([5, 6, 7, 8, 9, 0, 4, 0]);
  expect([...batch.weights]).toEqual([0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0]);
  expect([...batch.texts]).toEqual([1, 5, 2, 0, 0, 0, 0, 0, 1, 5, 6, 7, 2, 0, 0, 0]);
  expect([...batch.ends]).toEqual([2, 12]);
});

it("the original's ignored label keeps its place and counts nothing", () => {
  const batch = packBatch(texts, 2, new Float32Array(2), { ...options, ignored: 0 });
  expect([...batch.weights]).toEqual([0.25, 0.25, 0.25, 0.25, 0.25, 0, 0.25, 0]);
  expect(countLabels(texts, 0)).toBe(6);
  expect(countLabels(texts)).toBe(7);
});

it("a length is rounded up no further than the positions reach", () => {
  const long = [{ gpt2: new Array(9).fill(1), clip: [] }];
  expect(packBatch(long, 1, new Float32Array(1), options).shape).toEqual({
    images: 1,
    batch: 1,
    tokens: 10,
    labels: 9,
    textTokens: 0,
  });
});

it("a batch may have more texts than a call has arguments", () => {
  const many = new Array<Text>(200_000).fill(texts[0]!);
  expect(shapeOf(many, many.length, options)).toMatchObject({ batch: 200_000, tokens: 8, textTokens: 4 });
});

it("several captions of a picture: all labelled, the first ones go to CLIP", () => {
  const more: Text[] = [...texts, { gpt2: [1, 2, 3], clip: [9] }, { gpt2: [4], clip: [9, 9] }];
  const batch = packBatch(more, 2, new Float32Array(2), options);
  expect(batch.shape).toEqual({ images: 2, batch: 4, tokens: 8, labels: 12, textTokens: 8 });
  expect([...batch.targets].slice(0, 11)).toEqual([5, 6, 7, 8, 9, 0, 4, 1, 2, 3, 4]);
  expect([...batch.rows].slice(7, 11)).toEqual([24, 25, 26, 35]);
  expect(batch.texts.length).toBe(16);
  expect([...batch.ends]).toEqual([2, 12]);
});
