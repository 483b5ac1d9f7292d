import { describe, expect, it } from "vitest";
import { progressLine } from "../../../src/cli/screen.js";

const task = { what: "captioning", done: 0, total: 0, note: "", from: 0 };

describe("progressLine", () => {
  it("shows the time of what has no known end", () => {
    expect(progressLine(task, 400, true)).toBe("captioning …");
    expect(progressLine(task, 3400, true)).toBe("captioning … 3 s");
    expect(progressLine(task, 300_000, false)).toBe("captioning … 5 min");
  });

  it("draws a bar on terminals only", () => {
    const half = { ...task, done: 4, total: 8 };
    expect(progressLine(half, 0, true)).toBe(`captioning ${"━".repeat(12)}${"─".repeat(12)} 4 of 8`);
    expect(progressLine(half, 0, false)).toBe("captioning 4 of 8");
  });

  it("estimates the rest from what was done since the task was first shown", () => {
    expect(progressLine({ ...task, done: 30, total: 50, from: 10 }, 10_000, false)).toBe(
      "captioning 30 of 50, 10 s left",
    );
    expect(progressLine({ ...task, done: 10, total: 50, from: 10 }, 10_000, false)).toBe("captioning 10 of 50");
  });

  it("counts bytes in megabytes", () => {
    expect(progressLine({ ...task, what: "loading", done: 12_400_000, total: 28_700_000 }, 0, false)).toBe(
      "loading 12 of 29 MB",
    );
  });

  it("ends with the note, before there is an estimate and after it", () => {
    const noted = { ...task, what: "training", note: "812 tokens/s, 64 images/s" };
    expect(progressLine({ ...noted, done: 4, total: 8 }, 0, false)).toBe("training 4 of 8, 812 tokens/s, 64 images/s");
    expect(progressLine({ ...noted, done: 4, total: 8 }, 8000, false)).toBe(
      "training 4 of 8, 8 s left, 812 tokens/s, 64 images/s",
    );
    expect(progressLine(noted, 3000, true)).toBe("training … 3 s, 812 tokens/s, 64 images/s");
  });
});
