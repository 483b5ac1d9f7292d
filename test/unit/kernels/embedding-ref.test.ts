import { expect, it } from "vitest";
import { embeddingBackwardRef, embeddingRef } from "../../../src/kernels/embedding/embedding.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

it.each([[[0]], [[2, 2, 2]], [[4, 0, 4, 1, 5, 4_294_967_295]]])(
  "embedding's backward agrees with differences: ids %j",
  (ids) => {
    const [table, dy] = [values("table", 5 * 3), values("dy", ids.length * 3)];
    const expected = finiteDifferences((v) => embeddingRef(ids, v, 3), table, dy);
    expect(nmse(embeddingBackwardRef(ids, dy, 5, 3), expected)).toBeLessThan(1e-14);
  },
);
