import { l2Normalize } from "../../kernels/l2norm/l2norm.js";
import { l2NormalizeBackwardRef, l2NormalizeRef } from "../../kernels/l2norm/l2norm.ref.js";
import { layerNorm, layerNormClass } from "../../kernels/layernorm/layernorm.js";
import { layerNormBackwardRef, layerNormRef } from "../../kernels/layernorm/layernorm.ref.js";
import { chooseRowGroup, type RowGroup, rowGroupName, runnableRowGroups } from "../../kernels/rowgroup.js";
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
  const groupsOf = (of?: string) => variantsOf(runnableRowGroups(device), chooseRowGroup(device, of), rowGroupName);
  const [layerNorms, others] = [groupsOf(layerNormClass(GPT2.width)), groupsOf()];
  type Group = (typeof others)[number];
  const at = (make: MakeOperation, r: number, columns: number, { variant, name, chosen }: Group): Operation => {
    return { variant: name, chosen, shape: `${r} x ${columns}`, ...make(r, columns, variant) };
  };
  const { rows, batch } = TRAINING;
  return [
    ...layerNorms.flatMap((g) => [
      ...[1, 5, CLIP.tokens, rows].map((r) => forwardCase(at(layerNormOf, r, GPT2.width, g))),
      backwardCase(at(layerNormOf, rows, GPT2.width, g)),
    ]),
    ...others.flatMap((g) => [
      forwardCase(at(softmaxOf, 600, CLIP.tokens, g)),
      forwardCase(at(softmaxOf, 2, GPT2.vocabulary, g)),
      backwardCase(at(softmaxOf, 600, CLIP.tokens, g)),
      forwardCase(at(logSoftmaxOf, 2, GPT2.vocabulary, g)),
      backwardCase(at(logSoftmaxOf, 2, GPT2.vocabulary, g)),
      forwardCase(at(l2NormOf, batch, CLIP.projection, g)),
      backwardCase(at(l2NormOf, batch, CLIP.projection, g)),
    ]),
  ];
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
