import { adamW, adamWStep } from "../../kernels/adamw/adamw.js";
import { adamWRef } from "../../kernels/adamw/adamw.ref.js";
import { gradNorm } from "../../kernels/gradnorm/gradnorm.js";
import { gradNormRef } from "../../kernels/gradnorm/gradnorm.ref.js";
import { input, type KernelCase, squaredError, type Values, values } from "./case.js";

/** Parameters of the mappers for K = L = 10. */
const MLP = 31_468_800;
const LINEAR_OF_TRANSFORMER = 3_939_840;

const only = { variant: "only", dtype: "f32", chosen: true } as const;
const HYPER = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 };
const [LR, T] = [1e-3, 100];

/** What follows a training step's backward pass: the norm of the gradients, and the update. */
export function optimizerCases(): KernelCase[] {
  return [
    gradNormOf(MLP),
    gradNormOf(LINEAR_OF_TRANSFORMER),
    ...(["torch", "hf2021"] as const).map((variant) => adamWOf(LINEAR_OF_TRANSFORMER, variant)),
    adamWOf(MLP, "torch"),
  ];
}

function gradNormOf(size: number): KernelCase {
  return {
    ...only,
    kernel: "gradnorm",
    shape: `${size}`,
    record: (p) => {
      const x = values("gradient", size, 0.01);
      const total = gradNorm(p, [input(p, "gradient", [size], x)], { label: "norm" });
      const norm = (words: ArrayLike<number>) => Math.sqrt(new Float32Array(Uint32Array.of(words[0]!).buffer)[0]!);
      return { outputs: [total], error: ([got]) => squaredError([norm(got!), got![1]!], [gradNormRef([x]), 0]) };
    },
  };
}

/** Every run updates the values that the one before left: their time is the same, and the first is checked. */
function adamWOf(size: number, variant: "torch" | "hf2021"): KernelCase {
  return {
    ...only,
    kernel: `adamw.${variant}`,
    shape: `${size}`,
    record: (p) => {
      const [value, grad, m] = [values("value", size), values("grad", size, 0.01), values("m", size, 0.01)];
      const v = values("v", size, 1e-4).map(Math.abs);
      const flat = {
        value: input(p, "value", [size], value),
        grad: input(p, "grad", [size], grad),
        m: input(p, "m", [size], m),
        v: input(p, "v", [size], v),
      };
      const total = input(p, "total", [1, 2], new Uint32Array([0x3f800000, 0])); // a sum of squares of 1
      const skips = input(p, "skips", [2], new Uint32Array(2));
      const o = { ...HYPER, variant, label: "adamw" };
      const { step } = adamWStep(p, total, skips, { ...o, lr: LR, t: T, maxNorm: 0 });
      const from = p.dispatches.length;
      adamW(p, flat, step, o);
      p.keep(step);
      return {
        outputs: [flat.value, flat.m, flat.v],
        error: (got) => Math.max(...updated({ value, grad, m, v }, variant).map((e, i) => sampledError(got[i]!, e))),
        from,
        bytes: 4 * 7 * size,
      };
    },
  };
}

/** Elements that are checked, all over the tensor. */
const SAMPLES = 100_003;

function* sampled(size: number): Generator<number> {
  const step = Math.max(1, Math.floor(size / SAMPLES));
  for (let i = 0; i < size; i += step) yield i;
}

/** Values, m and v of the sampled elements after the update, in f64. */
function updated(x: Record<"value" | "grad" | "m" | "v", Float32Array>, variant: "torch" | "hf2021"): number[][] {
  const after = [...sampled(x.value.length)].map((i) => {
    const before = { value: x.value[i]!, grad: x.grad[i]!, m: x.m[i]!, v: x.v[i]! };
    return adamWRef(before, { ...HYPER, variant, lr: LR, t: T });
  });
  return [after.map((e) => e.value), after.map((e) => e.m), after.map((e) => e.v)];
}

function sampledError(got: Values, expected: readonly number[]): number {
  return squaredError(
    [...sampled(got.length)].map((i) => got[i]!),
    expected,
  );
}
