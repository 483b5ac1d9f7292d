import { describe, expect, it } from "vitest";
import type { AttentionCase } from "../../../src/kernels/attention/attention.cases.js";
import { attentionBackwardRef, attentionRef, type HeadsData } from "../../../src/kernels/attention/attention.ref.js";
import { inputs, withMask } from "../../gpu/attention-inputs.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

const small = { batch: 2, queries: 4, keys: 4, heads: 2, headSize: 3, causal: false, layout: "packed" } as const;

const cases: readonly AttentionCase[] = [
  { ...small, name: "all keys" },
  { ...small, name: "causal", causal: true },
  { ...small, name: "lengths", keyLengths: [3, 1] },
  { ...small, name: "causal with lengths", causal: true, keyLengths: [2, 4] },
  { ...small, name: "no key at all", keyLengths: [0, 2] },
  { ...small, name: "more keys", keys: 6, causal: true, layout: "split" },
  { ...small, name: "more queries", queries: 6, causal: true, layout: "heads" },
  { ...small, name: "one token", queries: 1, keys: 1 },
  { ...small, name: "dropout", dropout: { rate: 0.4, seed: 3, site: 1 } },
  {
    ...small,
    name: "dropout, more keys",
    keys: 6,
    causal: true,
    layout: "split",
    dropout: { rate: 0.2, seed: 9, site: 2 },
  },
];

describe("the backward reference of attention agrees with central differences", () => {
  for (const c of cases) {
    it(c.name, () => {
      const { q, k, v } = inputs(c);
      const dout = values(`${c.name}/dout`, c.batch * c.queries * c.heads * c.headSize);
      const grads = attentionBackwardRef(q, k, v, dout, withMask(c));
      expect(grads.size).toBe({ packed: 1, split: 2, heads: 3 }[c.layout]);
      for (const [matrix, grad] of grads) {
        const moved = (x: Float64Array, view: HeadsData) => (view.data === matrix ? { ...view, data: x } : view);
        const f = (x: Float64Array) => attentionRef(moved(x, q), moved(x, k), moved(x, v), withMask(c));
        expect(nmse(grad, finiteDifferences(f, matrix, dout))).toBeLessThan(1e-15);
      }
    });
  }

  it("gives zeros to keys that no query sees and to queries that see no key", () => {
    const c: AttentionCase = { ...small, name: "unseen", batch: 1, layout: "heads", keyLengths: [0] };
    const { q, k, v } = inputs(c);
    const grads = attentionBackwardRef(q, k, v, values("dout", 24), c);
    for (const grad of grads.values()) expect([...new Set(grad)]).toEqual([0]);
  });
});
