import type { KernelSpec } from "../../runtime/kernel.js";
import { beamKernels } from "./beam.js";
import { greedyKernels } from "./greedy.js";
import { penaliseKernels } from "./penalise.js";
import { sampleKernels } from "./sample.js";
import { countRemaining, startAncestry } from "./state.wgsl.js";
import { topKernels } from "./top.js";

/** Every kernel of decoding in every variant. */
export function decodeKernels(): KernelSpec[] {
  const state = [countRemaining, startAncestry];
  return [...state, ...topKernels(), ...greedyKernels(), ...beamKernels(), ...sampleKernels(), ...penaliseKernels()];
}
