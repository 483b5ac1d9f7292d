import { expect, it } from "vitest";
import { matmulBackwardRef, matmulRef } from "../../../src/kernels/matmul/matmul.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

it.each(
  (["nn", "nt", "tn"] as const).flatMap((layout) =>
    [
      { batch: 1, sharedB: false },
      { batch: 3, sharedB: false },
      { batch: 2, sharedB: true },
    ].map((o) => ({ layout, ...o })),
  ),
)("the backward of $layout agrees with differences: $batch batches, shared b $sharedB", ({ layout, ...o }) => {
  const shape = { layout, M: 3, K: 5, N: 4 };
  const { batch, sharedB } = o;
  const [a, b, bias] = [values("a", batch * 15), values("b", (sharedB ? 1 : batch) * 20), values("bias", 4)];
  const dout = values("dout", batch * 12);
  const { da, db, dbias } = matmulBackwardRef(a, b, dout, shape, o);
  const close = (got: Float64Array, at: ArrayLike<number>, f: (x: Float64Array) => Float64Array) =>
    expect(nmse(got, finiteDifferences(f, at, dout))).toBeLessThan(1e-14);
  close(da, a, (x) => matmulRef(x, b, shape, { ...o, bias }));
  close(db, b, (x) => matmulRef(a, x, shape, { ...o, bias }));
  close(dbias, bias, (x) => matmulRef(a, b, shape, { ...o, bias: x }));
});
