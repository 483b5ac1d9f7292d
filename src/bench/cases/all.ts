import type { Device } from "../../runtime/device.js";
import { attentionCases } from "./attention.js";
import { caseName, type KernelCase } from "./case.js";
import { decodeCases } from "./decode.js";
import { elementwiseCases } from "./elementwise.js";
import { lossCases } from "./losses.js";
import { matmulCases } from "./matmul.js";
import { normCases } from "./norms.js";
import { optimizerCases } from "./optimizer.js";
import { rowCases } from "./rows.js";

/** All cases of all operations at the shapes of the real models, with every variant that may be fastest on the device. */
export function kernelCases(device: Device): KernelCase[] {
  return [
    ...matmulCases(device),
    ...attentionCases(device),
    ...normCases(device),
    ...elementwiseCases(),
    ...rowCases(),
    ...lossCases(device),
    ...optimizerCases(),
    ...decodeCases(device),
  ];
}

/** Those whose names have every word of `pattern` in them; "*" finds what the device chooses by itself. */
export function matching(cases: readonly KernelCase[], pattern: string): KernelCase[] {
  const words = pattern.toLowerCase().split(/\s+/);
  return cases.filter((c) => words.every((word) => caseName(c).toLowerCase().includes(word)));
}
