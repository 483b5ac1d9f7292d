import { activation } from "../../kernels/activation/activation.js";
import { activationBackwardRef, activationRef } from "../../kernels/activation/activation.ref.js";
import type { ActivationKind } from "../../kernels/activation/activation.wgsl.js";
import { columnSum } from "../../kernels/columnsum/columnsum.js";
import { dropout } from "../../kernels/dropout/dropout.js";
import { dropoutMask, dropoutRef } from "../../kernels/dropout/dropout.ref.js";
import { bothWays, forwardCase, input, type KernelCase, named, type Operation, squaredError, values } from "./case.js";
import { CLIP, GPT2, MAPPER, TRAINING } from "./shapes.js";

/** Operations whose elements do not know each other, and sums of columns. There is one variant of each. */
export function elementwiseCases(): KernelCase[] {
  const inference = [activationOf("gelu_new", 10, GPT2.inner), activationOf("quick_gelu", CLIP.tokens, GPT2.inner)];
  const training = [
    activationOf("gelu_new", TRAINING.rows, GPT2.inner),
    activationOf("gelu", TRAINING.rows, GPT2.inner),
    activationOf("relu", TRAINING.batch * MAPPER.tokens, MAPPER.inner),
    activationOf("tanh", TRAINING.batch, 5 * GPT2.width),
    dropoutOf(TRAINING.rows, GPT2.width),
  ];
  return [
    ...inference.map(forwardCase),
    ...training.flatMap(bothWays),
    columnSumOf(TRAINING.rows, GPT2.inner),
    columnSumOf(TRAINING.rows, GPT2.width),
  ];
}

const only = { variant: "only", chosen: true } as const;

function activationOf(kind: ActivationKind, rows: number, columns: number): Operation {
  return {
    ...only,
    kernel: `activation.${kind}`,
    shape: `${rows} x ${columns}`,
    inputs: () => [named("x", [rows, columns], 4)],
    record: (p, [x]) => activation(p, x!, kind, { label: kind }),
    expected: ([x]) => activationRef(x!, kind),
    gradients: (dy, [x]) => [activationBackwardRef(x!, dy, kind)],
  };
}

function dropoutOf(rows: number, columns: number): Operation {
  const o = { rate: 0.1, seed: 12, site: 24 };
  const mask = () => dropoutMask(rows * columns, o.rate, o.seed, o.site);
  return {
    ...only,
    kernel: "dropout",
    shape: `${rows} x ${columns}`,
    inputs: () => [named("x", [rows, columns])],
    record: (p, [x]) => dropout(p, x!, { ...o, label: "dropout" }),
    expected: ([x]) => dropoutRef(x!, mask(), o.rate),
    gradients: (dy) => [dropoutRef(dy, mask(), o.rate)],
  };
}

/** The gradient of a bias. */
function columnSumOf(rows: number, columns: number): KernelCase {
  return {
    ...only,
    kernel: "columnsum",
    shape: `${rows} x ${columns}`,
    dtype: "f32",
    record: (p) => {
      const x = values("x", rows * columns);
      const grad = p.persistent("bias", [columns]);
      columnSum(p, input(p, "x", [rows, columns], x), { grad, accumulate: 0 }, { label: "columns" });
      const expected = new Float64Array(columns);
      for (const [i, v] of x.entries()) expected[i % columns]! += v;
      return { outputs: [grad], error: ([got]) => squaredError(got!, expected) };
    },
  };
}
