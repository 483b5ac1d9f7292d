import { expect, it } from "vitest";
import { ACTIVATION_KINDS } from "../../../src/kernels/activation/activation.cases.js";
import { activationBackwardRef, activationRef } from "../../../src/kernels/activation/activation.ref.js";
import { finiteDifferences, nmse, values } from "../../gpu/harness.js";

it.each(ACTIVATION_KINDS)("the backward of %s agrees with differences", (kind) => {
  const [x, dy] = [values("x", 201, 6), values("dy", 201)];
  const expected = finiteDifferences((v) => activationRef(v, kind), x, dy);
  expect(nmse(activationBackwardRef(x, dy, kind), expected)).toBeLessThan(1e-14);
});
