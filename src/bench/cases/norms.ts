import { l2Normalize } from "../../kernels/l2norm/l2norm.js";
import { l2NormalizeBackwardRef, l2NormalizeRef } from "../../kernels/l2norm/l2norm.ref.js";
import { layerNorm } from "../../kernels/layernorm/layernorm.js";
import { layerNormBackwardRef, layerNormRef } from "../../kernels/layernorm/layernorm.ref.js";
import { chooseRowGroup, type RowGroup, runnableRowGroups } from "../../kernels/rowgroup.js";
import { logSoftmax, softmax } from "../../kernels/softmax/softmax.js";
import {
  logSoftmaxBackwardRef,
  logSoftmaxRef,
  softmaxBackwardRef,
  softmaxRef,
} from "../../kernels/softmax/softmax.ref.js";
import type { Device } from "../../runtime/device.js";
import { backwardCase, forwardCase, type KernelCase, named, type Operation, variantsOf } from "./case.js";
import { CLIP, GPT2, TRAINING } from "./shapes.js";

/** Operations that work row by row, in every way in which a workgroup may share a row. */
export function normCases(device: Device): KernelCase[] {
  const groups = variantsOf(runnableRowGroups(device), chooseRowGroup(device), (g) => `${g.reduce}${g.size}`);
  const { rows, batch } = TRAINING;
  return groups.flatMap(({ variant, name, chosen }) => {
    const at = (make: MakeOperation, r: number, columns: number): Operation => {
      return { variant: name, chosen, shape: `${r} x ${columns}`, ...make(r, columns, variant) };
    };
    return [
      ...[1, 5, CLIP.tokens, rows].map((r) => forwardCase(at(layerNormOf, r, GPT2.width))),
      backwardCase(at(layerNormOf, rows, GPT2.width)),
      forwardCase(at(softmaxOf, 600, CLIP.tokens)),
      forwardCase(at(softmaxOf, 2, GPT2.vocabulary)),
      backwardCase(at(softmaxOf, 600, CLIP.tokens)),
      forwardCase(at(logSoftmaxOf, 2, GPT2.vocabulary)),
      backwardCase(at(logSoftmaxOf, 2, GPT2.vocabulary)),
      forwardCase(at(l2NormOf, batch, CLIP.projection)),
      backwardCase(at(l2NormOf, batch, CLIP.projection)),
    ];
  });
}

type MakeOperation = (
  rows: number,
  columns: number,
  variant: RowGroup,
) => Omit<Operation, "variant" | "chosen" | "shape">;

const EPS = 1e-5;

const layerNormOf: MakeOperation = (rows, columns, variant) => ({
  kernel: "layernorm",
  inputs: () => [named("x", [rows, columns], 3), named("weight", [columns]), named("bias", [columns])],
  record: (p, [x, weight, bias]) => layerNorm(p, x!, weight!, bias!, { eps: EPS, label: "norm", variant }),
  expected: ([x, weight, bias]) => layerNormRef(x!, weight!, bias!, EPS),
  gradients: (dy, [x, weight]) => {
    const { dx, dweight, dbias } = layerNormBackwardRef(x!, weight!, EPS, dy);
    return [dx, dweight, dbias];
  },
});

const softmaxOf: MakeOperation = (rows, columns, variant) => ({
  kernel: "softmax",
  inputs: () => [named("x", [rows, columns], 3)],
  record: (p, [x]) => softmax(p, x!, { label: "softmax", variant }),
  expected: ([x]) => softmaxRef(x!, columns),
  gradients: (dy, [x]) => [softmaxBackwardRef(x!, dy, columns)],
});

const logSoftmaxOf: MakeOperation = (rows, columns, variant) => ({
  kernel: "logsoftmax",
  inputs: () => [named("x", [rows, columns], 3)],
  record: (p, [x]) => logSoftmax(p, x!, { label: "logsoftmax", variant }),
  expected: ([x]) => logSoftmaxRef(x!, columns),
  gradients: (dy, [x]) => [logSoftmaxBackwardRef(x!, dy, columns)],
});

const l2NormOf: MakeOperation = (rows, columns, variant) => ({
  kernel: "l2norm",
  inputs: () => [named("x", [rows, columns], 3)],
  record: (p, [x]) => l2Normalize(p, x!, { label: "l2", variant }),
  expected: ([x]) => l2NormalizeRef(x!, columns),
  gradients: (dy, [x]) => [l2NormalizeBackwardRef(x!, dy, columns)],
});
