import { describe, expect, it } from "vitest";
import { compareReports, parseReport } from "../../../src/bench/compare.js";
import { comparisonLines } from "../../../src/cli/bench-lines.js";
import { ClipCapError } from "../../../src/runtime/errors.js";
import { line, report } from "./reports.js";

const parsed = (name: string, value: unknown) => parseReport(name, JSON.stringify(value));

describe("compareReports", () => {
  const a = parsed("a.json", report([line("softmax", 2), line("layernorm", 1), line("l2norm", 4), line("gone", 1)]));
  const b = parsed(
    "b.json",
    report([line("l2norm", 1, { verified: false }), line("layernorm", 1.1), line("softmax", 1), line("new", 1)]),
  );
  const comparison = compareReports(a, b);

  it("matches by name, with the spread of the ratio", () => {
    expect(comparison.times.map(({ name, verdict }) => [name[0], verdict])).toEqual([
      ["softmax", "faster"],
      ["layernorm", "alike"],
      ["l2norm", "wrong"],
    ]);
    const [softmax] = comparison.times;
    expect(softmax!.ratio).toBeCloseTo(0.5, 12);
    expect(softmax!.low).toBeCloseTo(0.9 / 2.2, 12);
    expect(softmax!.high).toBeCloseTo(1.1 / 1.8, 12);
    expect(compareReports(b, a).times.at(-1)!.verdict).toBe("slower");
  });

  it("says what is only in one of them", () => {
    expect(comparison.onlyA).toEqual([["gone", "only", "50 x 768", "f32"]]);
    expect(comparison.onlyB).toEqual([["new", "only", "50 x 768", "f32"]]);
    const lines = comparisonLines(a, b, comparison);
    expect(lines.slice(lines.indexOf("Only in a.json:"))).toEqual([
      "Only in a.json:",
      "  gone only 50 x 768 f32",
      "",
      "Only in b.json:",
      "  new only 50 x 768 f32",
    ]);
  });

  it("says when adapters, drivers, toggles, chosen kernels or peaks differ", () => {
    expect(comparison.differences).toEqual([]);
    const peaks = { gflops: 50, gbs: 21, copy_kernel_gbs: 10, copy_buffer_gbs: 21 };
    const other = report([], {
      adapter: "nvidia hopper",
      driver: "570",
      toggles: ["adapter=nvidia"],
      tuned: "abc",
      peaks,
    });
    expect(compareReports(a, parsed("c.json", other)).differences).toEqual([
      "The adapter differs: mesa software; nvidia hopper.",
      "The driver differs: llvmpipe; 570.",
      "The toggles differ: none; adapter=nvidia.",
      "The kernels that clipcap tune chose differ: none; abc.",
      "The measured peaks differ: 100 and 50.0 GFLOP/s; one machine may have been busy.",
    ]);
    expect(comparisonLines(a, parsed("c.json", other), compareReports(a, parsed("c.json", other)))).toContain(
      "The two have no time in common.",
    );
  });
});

describe("parseReport", () => {
  const good = report([line("softmax", 1)]);
  const withLine = (fields: object) => ({ ...good, results: [{ ...good.results[0], ...fields }] });

  it("takes times of whole models, and leaves other amounts out", () => {
    const { results: _, ...head } = good;
    const subject = { what: "decode step", model: "GPT-2 small", how: "greedy, 1 images" };
    const measurements = [
      { ...subject, value: 50, unit: "ms", best: 49, p95: 60, place: { axis: "beams", x: 1, line: "a" } },
      { ...subject, value: 51, unit: "ms", place: { axis: "images", x: 1, line: "a" } },
      { ...subject, value: 300, unit: "MB" },
    ];
    expect([...parsed("a.json", { ...head, measurements }).times.values()]).toEqual([
      {
        name: ["decode step", "GPT-2 small", "greedy, 1 images, by beams", "ms"],
        median: 50,
        best: 49,
        p95: 60,
        verified: true,
      },
      {
        name: ["decode step", "GPT-2 small", "greedy, 1 images, by images", "ms"],
        median: 51,
        best: 51,
        p95: 51,
        verified: true,
      },
    ]);
  });

  it.each([
    ["not JSON", "{", /^a\.json is not valid JSON/],
    ["a list", [], /^a\.json must be a JSON object, not a list\.$/],
    ["another file", { name: "clipcap-webgpu" }, /^a\.json is no benchmark: it has no list "results"/],
    ["no results in it", { ...good, results: {} }, /no list "results"/],
    ["a result that is no object", { ...good, results: [7] }, /^a\.json: results\[0\] must be a JSON object, not 7\.$/],
    ["a time below zero", withLine({ median_ms: -1 }), /results\[0\]: "median_ms" must be a number from/],
    ["a best above the median", withLine({ best_ms: 3 }), /"best_ms" must be a number from/],
    ["a 95th percentile below the median", withLine({ p95_ms: 0.5 }), /"p95_ms" must be a number from/],
    ["a time that is a text", withLine({ p95_ms: "1" }), /results\[0\]: "p95_ms" must be a number from/],
    ["a terminal's escape", withLine({ kernel: "\u001b[2J" }), /"kernel" must be a text of one line/],
    ["a long name", withLine({ shape: "x".repeat(501) }), /"shape" must be a text of one line/],
    ["a name twice", { ...good, results: [good.results[0], good.results[0]] }, /^a\.json: softmax .* is there twice/],
    ["toggles that are none", { ...good, toggles: [1] }, /"toggles" must be a list of texts/],
    ["no peaks", { ...good, peaks: undefined }, /peaks: "gflops" must be a number/],
  ])("refuses %s in one sentence", (_, value, message) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const refused = () => parseReport("a.json", text);
    expect(refused).toThrow(ClipCapError);
    expect(refused).toThrow(message);
    try {
      refused();
    } catch (error) {
      expect(error).toMatchObject({ code: "bad-input" });
      expect((error as Error).message).not.toMatch(/\p{Cc}/u);
    }
  });
});
