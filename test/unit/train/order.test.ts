import { describe, expect, it } from "vitest";
import { DataOrder, type Example, type OrderOptions } from "../../../src/train/order.js";

/** 23 pictures with one to five captions of 5 to 19 tokens. */
const LENGTHS = Array.from({ length: 23 }, (_, i) =>
  Array.from({ length: 1 + (i % 5) }, (_, c) => 5 + ((7 * i + 3 * c) % 15)),
);
const CAPTIONS = LENGTHS.flat().length;

const order = (o: Partial<OrderOptions> = {}) =>
  new DataOrder(LENGTHS, { seed: 1, batch: 4, captions: "each", pool: 1, ...o });
const epochOf = (data: DataOrder, epoch: number) =>
  Array.from({ length: data.stepsPerEpoch }, (_, i) => data.batch(epoch * data.stepsPerEpoch + i));
const name = ({ image, caption }: Example) => `${image}.${caption}`;
const lengthOf = ({ image, caption }: Example) => LENGTHS[image]![caption]!;

describe.each([1, 3, 100])("pool of %i", (pool) => {
  it("sees every caption once in an epoch, but for what fills no batch", () => {
    const data = order({ pool });
    expect(data.stepsPerEpoch).toBe(Math.floor(CAPTIONS / 4));
    const names = epochOf(data, 0).flat().map(name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBe(CAPTIONS - (CAPTIONS % 4));
  });

  it("depends on seed and step alone", () => {
    const [a, b] = [order({ pool }), order({ pool })];
    const late = b.batch(100); // without the steps before
    for (let i = 0; i < 100; i++) a.batch(i);
    expect(a.batch(100)).toEqual(late);
    expect(order({ pool, seed: 2 }).batch(0)).not.toEqual(a.batch(0));
    expect(epochOf(a, 0)).not.toEqual(epochOf(a, 1));
  });
});

it("one caption of each picture, chosen anew", () => {
  const data = order({ captions: "one", batch: 23 });
  expect(data.stepsPerEpoch).toBe(1);
  const epochs = Array.from({ length: 40 }, (_, e) => data.batch(e));
  for (const batch of epochs) expect(new Set(batch.map(({ image }) => image)).size).toBe(23);
  const seen = new Set(epochs.flat().map(name));
  expect(seen.size).toBe(CAPTIONS);
});

it.each([1, 100])("neighbours of a group stay neighbours, whatever their lengths; pool of %i", (pool) => {
  const groups = LENGTHS.map((_, i) => (i < 20 ? Math.floor(i / 2) : undefined));
  const data = new DataOrder(LENGTHS, { seed: 1, batch: 23, captions: "one", pool }, groups);
  for (const epoch of [0, 1, 2]) {
    const seen = data.batch(epoch).map(({ image }) => image);
    expect(new Set(seen).size).toBe(23);
    for (let i = 0; i < 20; i += 2) expect(Math.abs(seen.indexOf(i) - seen.indexOf(i + 1))).toBe(1);
    expect(seen).not.toEqual(seen.toSorted((a, b) => a - b));
  }
});

it("a pool puts like lengths together, in batches of random order", () => {
  const spread = (data: DataOrder) =>
    epochOf(data, 0).reduce((sum, batch) => {
      const lengths = batch.map(lengthOf);
      return sum + Math.max(...lengths) - Math.min(...lengths);
    }, 0);
  expect(spread(order({ pool: 100 }))).toBeLessThan(spread(order({ pool: 1 })) / 3);
  const longest = epochOf(order({ pool: 100 }), 0).map((batch) => Math.max(...batch.map(lengthOf)));
  expect(longest).not.toEqual([...longest].sort((a, b) => a - b));
});

it("says when not even one batch is filled", () => {
  const data = order({ batch: CAPTIONS + 1 });
  expect(data.stepsPerEpoch).toBe(0);
  expect(() => data.batch(0)).toThrow(`fewer examples than ${CAPTIONS + 1}`);
});
