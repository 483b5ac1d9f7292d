import type { Device } from "../../runtime/device.js";
import type { KernelSpec } from "../../runtime/kernel.js";
import type { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { choose, type Tunable } from "../choice.js";
import { mergeTop, partialTop } from "./top.wgsl.js";

/** How a row is shared out: `groups` workgroups of `threads` scan it, one workgroup of `merge` threads joins them. */
export interface TopVariant {
  readonly threads: number;
  readonly groups: number;
  readonly merge: number;
}

/**
 * CPU adapters: few long scans, so that the lists fill early; on lavapipe (2 cores) 5 rows of 50,257 take 0.4 ms for
 * k = 1 and 0.55 ms for k = 5. GPUs: 512 threads a row, about 25 loads of four logits each.
 */
export const TOP_VARIANTS = {
  cpu: { threads: 8, groups: 4, merge: 8 },
  gpu: { threads: 64, groups: 8, merge: 32 },
} as const satisfies Record<string, TopVariant>;

/** List lengths that are compiled; a shorter one is cut from the next longer. */
const LIST_LENGTHS = [1, 8, 16, 32] as const;

type TopName = keyof typeof TOP_VARIANTS;

/** For lists of a length in LIST_LENGTHS: what was measured as the fastest, else what is usual for the kind of adapter. */
export function chooseTopVariant(device: Pick<Device, "adapter"> & Tunable, length = 1): TopVariant {
  return TOP_VARIANTS[choose(device, topClass(length), topCandidates(device), String)];
}

/** The class that lists of so many candidates are measured in. */
export function topClass(length: number): string {
  return `top ${length}`;
}

/** Names of the variants, the usual one first. */
export function topCandidates({ adapter }: Pick<Device, "adapter">): TopName[] {
  return adapter.isCpu ? ["cpu", "gpu"] : ["gpu", "cpu"];
}

/** The result of `rowTop`: u32 pairs [rows, length + 1, 2]. */
export interface RowTop {
  readonly tensor: Tensor;
  /** Candidates per row, at least as many as were asked for. */
  readonly length: number;
}

/**
 * The `k` largest logits of every row, largest first, equal ones by token id, with the row's maximum and the logarithm
 * of the sum of exp((logit - maximum) / temperature). logits f32 [rows, V]. Entry 0 of a row is
 * (maximum, log sum), entry j the j-th (logit, token); logits and sums are stored as f32 bits.
 * @throws RangeError when k is above 32.
 */
export function rowTop(
  p: Program,
  logits: Tensor,
  k: number,
  options: { readonly label: string; readonly temperature?: number; readonly variant?: TopVariant },
): RowTop {
  const length = LIST_LENGTHS.find((n) => n >= k);
  if (length === undefined) throw new RangeError(`${options.label}: top ${k} of a row; at most 32 are kept`);
  const [rows, vocab] = logits.shape as [number, number];
  const variant = options.variant ?? chooseTopVariant(p.device, length);
  const parts = variant.threads * variant.groups;
  const inverseTemperature = 1 / (options.temperature ?? 1);
  const part = p.transient(`${options.label}.part`, [rows, length + 1, parts, 2], "u32");
  const top = p.transient(`${options.label}.top`, [rows, length + 1, 2], "u32");
  p.dispatch({
    kernel: partialTop(length, variant.threads),
    label: options.label,
    tensors: { logits, part },
    uniforms: { vocab, parts, inverseTemperature },
    workgroups: [variant.groups, rows, 1],
  });
  p.dispatch({
    kernel: mergeTop(length, variant.merge),
    label: options.label,
    tensors: { part, top },
    uniforms: { parts, inverseTemperature },
    workgroups: [rows, 1, 1],
  });
  return { tensor: top, length };
}

export function topKernels(): KernelSpec[] {
  return Object.values(TOP_VARIANTS).flatMap(({ threads, merge }) =>
    LIST_LENGTHS.flatMap((k) => [partialTop(k, threads), mergeTop(k, merge)]),
  );
}
