import { describe, expect, it } from "vitest";
import { growing } from "../../../src/bench/end-to-end/growth.js";
import {
  amount,
  curvesOf,
  type EndToEndReport,
  type Measurement,
  type Place,
} from "../../../src/bench/end-to-end/measurement.js";
import { GROUPS, groupsMatching } from "../../../src/bench/end-to-end/node-groups.js";
import { endToEndPage } from "../../../src/bench/end-to-end/page/node-page.js";
import { endToEndLines } from "../../../src/cli/bench-end-to-end.js";

const point = (value: number, x: number, line = "a", axis: Place["axis"] = "images"): Measurement =>
  amount({ what: "decode step", model: "<m>", how: `${x}`, place: { axis, x, line } }, value, "ms");

function report(measurements: readonly Measurement[]): EndToEndReport {
  const limits = {} as EndToEndReport["limits"];
  const peaks = { gflops: 100, gbs: 10, copy_kernel_gbs: 8, copy_buffer_gbs: 10 };
  const head = {
    adapter: "<gpu>",
    driver: "d",
    toggles: [],
    tuned: null,
    limits,
    commit: "c",
    date: "2026-01-01T00:00:00Z",
    peaks,
  };
  return { ...head, other_load: 0.5, measurements };
}

describe("curves", () => {
  it("join what has a place, by what grows with what, in the order of the axis", () => {
    const plain = amount({ what: "load", model: "m", how: "" }, 1, "ms");
    const curves = curvesOf([
      point(3, 4),
      plain,
      point(1, 1),
      point(9, 2, "b"),
      point(5, 1, "c", "beams"),
      point(8, 8, "b"),
    ]);
    expect(curves).toEqual([
      {
        what: "decode step",
        unit: "ms",
        axis: "images",
        lines: [
          { name: "a", x: [1, 4], y: [1, 3] },
          { name: "b", x: [2, 8], y: [9, 8] },
        ],
      },
    ]);
  });

  it("end where the next point would take too long", async () => {
    const seen: number[] = [];
    const measure = async (n: number) => {
      seen.push(n);
      return { ms: 2000 * n, found: [n] };
    };
    const found: number[] = [];
    for await (const n of growing([1, 2, 4, 8], measure)) found.push(n);
    expect(seen).toEqual([1, 2, 4]);
    expect(found).toEqual([1, 2, 4]);
  });
});

describe("groups", () => {
  it("are found by all words of a pattern, in their order", () => {
    expect(groupsMatching("")).toEqual(GROUPS);
    expect(groupsMatching("DECODE beam").map(({ name }) => name)).toEqual([
      "original: decode beam 5",
      "original: decode by beams",
    ]);
    expect(groupsMatching("nothing")).toEqual([]);
  });

  it("have names of their own", () => {
    expect(new Set(GROUPS.map(({ name }) => name)).size).toBe(GROUPS.length);
  });
});

describe("a report", () => {
  const measured = report([point(1.25, 1), { ...point(300, 2), limit: 250, p95: 310 }]);

  it("as lines has each model's numbers, and says what is over its limit and what disturbed it", () => {
    const lines = endToEndLines(measured);
    expect(lines[1]).toBe("Other programs kept 0.5 cores busy meanwhile: the times are too long.");
    expect(lines).toContain("<m>");
    expect(lines.find((line) => line.includes("300"))).toMatch(/decode step \(2\) +300 +ms +310 +250 OVER$/);
  });

  it("as a page has curves and numbers, with names escaped and nothing from the network", () => {
    const page = endToEndPage(measured);
    expect(page).toContain('id="chart-0"');
    expect(page).toContain("&#60;gpu&#62;");
    expect(page).not.toContain("<gpu>");
    expect(page).toContain("default-src &#39;none&#39;");
    const data = /id="data">(.*?)<\/script>/.exec(page)![1]!;
    expect(JSON.parse(data)).toEqual(curvesOf(measured.measurements));
  });

  it("without curves has no script", () => {
    expect(endToEndPage(report([amount({ what: "load", model: "m", how: "" }, 1, "ms")]))).toContain(
      "script-src &#39;none&#39;",
    );
  });
});
