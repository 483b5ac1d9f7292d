import type { RunPlan } from "../train/node-plan.js";

/** What the ledger's labels mean to people. */
const BYTES: Readonly<Record<string, string>> = {
  parameters: "parameters in training",
  gradients: "their gradients",
  moments: "the optimizer's moments",
  clip: "CLIP, frozen",
  mapper: "mapper, frozen",
  gpt2: "GPT-2, frozen",
  activations: "activations of a step",
  batch: "pictures of a batch",
  staging: "results on their way back",
};

/** A plan as a table of text. */
export function planTable(plan: RunPlan): string {
  const rows: [string, string][] = [];
  for (const [part, { trained, frozen }] of Object.entries(plan.parameters)) {
    if (trained + frozen > 0)
      rows.push([`${part}, ${trained > 0 ? "trained" : "frozen"}`, `${thousands(trained + frozen)} parameters`]);
  }
  const known = Object.entries(plan.bytes).filter(([label]) => label in BYTES);
  const other = Object.entries(plan.bytes).reduce((sum, [label, bytes]) => sum + (label in BYTES ? 0 : bytes), 0);
  for (const [label, bytes] of known.sort((a, b) => b[1] - a[1])) rows.push([BYTES[label]!, megabytes(bytes)]);
  rows.push(["decoding, indices, uniforms", megabytes(other)]);
  rows.push(["device memory, at most", megabytes(plan.peakBytes)]);
  rows.push(["arithmetic of a step", `${(plan.stepFlops / 1e9).toFixed(1)} GFLOP`]);
  rows.push(["steps", `${thousands(plan.steps)}, ${thousands(plan.stepsPerEpoch)} an epoch`]);
  rows.push([
    "pictures",
    `${thousands(plan.examples.train)} for training, ${thousands(plan.examples.dev)} for validation`,
  ]);
  if (plan.cut > 0) rows.push(["captions that are cut", `${thousands(plan.cut)}, longer than GPT-2 has positions for`]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function thousands(n: number): string {
  return n.toLocaleString("en");
}
