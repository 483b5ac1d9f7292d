import { expect, it } from "vitest";
import { dropoutMask, dropoutRef } from "../../../src/kernels/dropout/dropout.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

const COUNT = 1 << 16;
const share = (mask: readonly boolean[]) => mask.filter(Boolean).length / mask.length;

it("dropout's backward agrees with differences", () => {
  const [x, dy] = [values("x", 21), values("dy", 21)];
  const keep = dropoutMask(21, 0.3, 5, 2);
  const expected = finiteDifferences((v) => dropoutRef(v, keep, 0.3), x, dy);
  expect(nmse(dropoutRef(dy, keep, 0.3), expected)).toBeLessThan(1e-14);
});

it.each([0.1, 0.5, 0.9])("keeps 1 - %f of the elements", (rate) => {
  for (const seed of [0, 1, 4_294_967_295]) {
    // Five standard deviations of the share of 65,536 draws.
    const deviation = 5 * Math.sqrt((rate * (1 - rate)) / COUNT);
    expect(Math.abs(share(dropoutMask(COUNT, rate, seed, 3)) - (1 - rate)), `seed ${seed}`).toBeLessThan(deviation);
  }
});

it("draws masks of different seeds, sites and places independently", () => {
  const mask = dropoutMask(COUNT, 0.5, 7, 2);
  const others = [
    dropoutMask(COUNT, 0.5, 8, 2),
    dropoutMask(COUNT, 0.5, 7, 3),
    dropoutMask(COUNT, 0.5, 2, 7),
    ...[1, 2, 4, 768].map((distance) => mask.map((_, i) => mask[(i + distance) % COUNT]!)),
  ];
  for (const [k, other] of others.entries()) {
    const equal = share(mask.map((kept, i) => kept === other[i]));
    expect(Math.abs(equal - 0.5), `other ${k}`).toBeLessThan(5 * Math.sqrt(0.25 / COUNT));
  }
});

it("keeps no place always or never: each of the first elements over 2,000 seeds", () => {
  const [seeds, count] = [2000, 32];
  for (const site of [0, 1, 5, 24]) {
    const kept = new Float64Array(count);
    for (let seed = 0; seed < seeds; seed++) {
      for (const [i, keep] of dropoutMask(count, 0.5, seed, site).entries()) kept[i]! += keep ? 1 / seeds : 0;
    }
    for (const [i, part] of kept.entries()) {
      expect(Math.abs(part - 0.5), `site ${site}, element ${i}`).toBeLessThan(5 * Math.sqrt(0.25 / seeds));
    }
  }
});
