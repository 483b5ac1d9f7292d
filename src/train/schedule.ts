import { ClipCapError } from "../runtime/errors.js";

export interface ScheduleOptions {
  /** `constant` stays at the peak; `linear` falls to 0 at the last update; `cosine` falls to `final` times the peak. */
  readonly shape: { readonly type: "constant" | "linear" } | { readonly type: "cosine"; readonly final: number };
  /** The learning rate after the warm-up. */
  readonly peak: number;
  /** Updates in all; afterwards the rate stays where it ended. */
  readonly total: number;
  /** Updates over which the rate rises from 0, or their fraction of all, rounded to whole ones. */
  readonly warmup: { readonly steps: number } | { readonly fraction: number };
}

/**
 * The learning rate of step i, counted from 0 and used for update i + 1. With a warm-up of W of N updates: peak * i / W
 * below W, so the first update has rate 0 as in the original training (docs/facts.md 3), then the shape over (i - W) / (N - W).
 * @throws ClipCapError `bad-input` for options out of range.
 */
export function learningRates(options: ScheduleOptions): (step: number) => number {
  const { shape, peak, total } = options;
  const warmup = "steps" in options.warmup ? options.warmup.steps : Math.round(options.warmup.fraction * total);
  check(options, warmup);
  return (step) => {
    if (step < warmup) return (peak * step) / warmup;
    const done = step < total ? (step - warmup) / (total - warmup) : 1;
    switch (shape.type) {
      case "constant":
        return peak;
      case "linear":
        return peak * (1 - done);
      case "cosine":
        return peak * (shape.final + (1 - shape.final) * 0.5 * (1 + Math.cos(Math.PI * done)));
    }
  };
}

function check({ shape, peak, total, warmup }: ScheduleOptions, warmupSteps: number): void {
  const whole = (n: number) => Number.isSafeInteger(n) && n >= 0;
  const faults = [
    !(peak >= 0 && Number.isFinite(peak)) && `learning rate ${peak} must not be negative`,
    !(whole(total) && total > 0) && `the number of steps ${total} must be a whole number above 0`,
    !whole(warmupSteps) && `the warm-up of ${warmupSteps} steps must be a whole number, 0 or more`,
    "fraction" in warmup && !(warmup.fraction <= 1) && `the warm-up fraction ${warmup.fraction} must be from 0 to 1`,
    shape.type === "cosine" &&
      !(shape.final >= 0 && shape.final <= 1) &&
      `the final fraction ${shape.final} of the learning rate must be from 0 to 1`,
  ];
  const fault = faults.find((f) => f !== false);
  if (fault) throw new ClipCapError("bad-input", `schedule: ${fault}`);
}
