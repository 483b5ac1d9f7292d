import { expect, it } from "vitest";
import { countLabels, packBatch, type Text } from "../../../src/train/batch.js";

const K = 3;
const options = { prefixLength: K, maxTokens: 10, maxTextTokens: 16, weight: 0.25 };
const texts: Text[] = [
  { gpt2: [5, 6, 7, 8, 9], clip: [1, 5, 2] },
  { gpt2: [0, 4], clip: [1, 5, 6, 7, 2] },
];

it("pads as little as the step of lengths allows, and labels what is there", () => {
  const batch = packBatch(texts, new Float32Array(2), options);
  expect(batch.shape).toEqual({ batch: 2, tokens: 8, labels: 8, textTokens: 8 });
  expect([...batch.ids]).toEqual([5, 6, 7, 8, 9, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0]);
  // Position K - 1 + t of each joined sequence of K + 8 predicts token t.
  expect([...batch.rows]).toEqual([2, 3, 4, 5, 6, 13, 14, 0]);
  expect([...batch.targets]).toEqual([5, 6, 7, 8, 9, 0, 4, 0]);
  expect([...batch.weights]).toEqual([0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25, 0]);
  expect([...batch.texts]).toEqual([1, 5, 2, 0, 0, 0, 0, 0, 1, 5, 6, 7, 2, 0, 0, 0]);
  expect([...batch.ends]).toEqual([2, 12]);
});

it("the original's ignored label keeps its place and counts nothing", () => {
  const batch = packBatch(texts, new Float32Array(2), { ...options, ignored: 0 });
  expect([...batch.weights]).toEqual([0.25, 0.25, 0.25, 0.25, 0.25, 0, 0.25, 0]);
  expect(countLabels(texts, 0)).toBe(6);
  expect(countLabels(texts)).toBe(7);
});

it("a length is rounded up no further than the positions reach", () => {
  const long = [{ gpt2: new Array(9).fill(1), clip: [] }];
  expect(packBatch(long, new Float32Array(1), options).shape).toEqual({
    batch: 1,
    tokens: 10,
    labels: 9,
    textTokens: 0,
  });
});
