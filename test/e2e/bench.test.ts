import { readdirSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { clipcap, ROOT, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
const QUICK = ["--runs", "2", "--target-ms", "1"];

describe("clipcap bench", () => {
  it("measures what the pattern finds: a table, JSON with all that a comparison needs, a page", async () => {
    const [json, html] = [at("new/repeat.json"), at("new/repeat.html")];
    const ran = await clipcap(["bench", "rows.repeat", ...QUICK, "--json", json, "--html", html, "--quiet"]);
    expect(ran.stderr).toBe("");
    expect(ran.exitCode).toBe(0);
    expect(ran.stdout).toMatch(/^ {2}rows\.repeat +only \* +5 x 10 x 768 +f32 .* yes$/m);
    expect(ran.stdout).toMatch(/^ {2}rows\.repeat\.backward +only \* /m);
    expect(await readdir(join(folder, "new"))).toEqual(["repeat.html", "repeat.json"]);
    expect(await readFile(html, "utf8")).toContain("<h1>Kernels on ");

    const number = expect.any(Number);
    const report = JSON.parse(await readFile(json, "utf8"));
    expect(report).toMatchObject({
      adapter: expect.any(String),
      driver: expect.any(String),
      toggles: ["disable-dawn-features=timestamp_quantization"],
      limits: { maxBindingBytes: number },
      commit: expect.stringMatching(/^([0-9a-f]{12}\+?|v\d+\.\d+\.\d+)$/),
      date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      peaks: { gflops: number, gbs: number },
      pattern: "rows.repeat",
    });
    expect(report.interrupted).toBeUndefined();
    expect(report.results.map((r: { kernel: string }) => r.kernel)).toEqual(["rows.repeat", "rows.repeat.backward"]);
    for (const result of report.results) {
      expect(result).toMatchObject({
        variant: "only",
        shape: "5 x 10 x 768",
        dtype: "f32",
        median_ms: number,
        p95_ms: number,
        gflops: number,
        gbs: number,
        of_peak: number,
        verified: true,
      });
    }

    const compared = await clipcap(["bench", "--compare", json, json]);
    expect(compared.exitCode).toBe(0);
    expect(compared.stdout).toMatch(/rows\.repeat\.backward .* 1\.00 .* alike$/m);
    expect(compared.stdout).not.toContain("differ");
    const asJson = JSON.parse((await clipcap(["bench", "--compare", json, json, "--json"])).stdout);
    expect(asJson).toMatchObject({ a: json, b: json, differences: [], onlyA: [], onlyB: [] });
    expect(asJson.times).toHaveLength(2);
  });

  it("marks wrong results, and ends with exit code 1", async () => {
    const json = at("wrong.json");
    const ran = await clipcap(["bench", "rows.repeat", ...QUICK, "--json", json, "--quiet"], {
      preload: join(ROOT, "test/e2e/wrong-values.ts"),
    });
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr.trimEnd()).toBe("clipcap: 2 of 2 results are wrong; the times of those mean nothing");
    expect(ran.lines.filter((line) => line.endsWith(" NO"))).toHaveLength(2);
    const { results } = JSON.parse(await readFile(json, "utf8"));
    for (const { verified } of results) expect(verified).toBe(false);
    const compared = await clipcap(["bench", "--compare", json, json]);
    expect(compared.lines.filter((line) => line.endsWith(" wrong"))).toHaveLength(2);
  });

  it.each([
    // the one of two cases that is measured, what is said of the other, and whether the rest was not measured
    ["kernel", "rows.repeat.backward", /^clipcap: rows\.repeat only \* .*: kernel broken for repeat: /, undefined],
    ["device", "rows.repeat", /^clipcap: rows\.repeat\.backward only \* .*: the GPU device was lost/, true],
  ])("reports a case that fails (%s), goes on while the device lives, keeps what was measured", async (...expected) => {
    const [broken, measured, message, interrupted] = expected;
    const json = at(`broken-${broken}.json`);
    const ran = await clipcap(["bench", "rows.repeat", ...QUICK, "--json", json, "--quiet"], {
      preload: join(ROOT, "test/e2e/broken-case.ts"),
      env: { CLIPCAP_BREAK: broken },
    });
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toMatch(message);
    const report = JSON.parse(await readFile(json, "utf8"));
    expect(report.results).toEqual([expect.objectContaining({ kernel: measured, verified: true })]);
    expect(report.interrupted).toBe(interrupted);
  });

  it("--list names the cases without measuring; --json without a file is stdout's", async () => {
    const plain = await clipcap(["bench", "rows.repeat", "--list"]);
    expect(plain.lines).toEqual([
      "rows.repeat only * 5 x 10 x 768 f32",
      "rows.repeat.backward only * 5 x 10 x 768 f32",
    ]);
    const lines = (await clipcap(["bench", "rows.repeat", "--list", "--json"])).lines.map((line) => JSON.parse(line));
    expect(lines[0]).toEqual({
      kernel: "rows.repeat",
      variant: "only",
      shape: "5 x 10 x 768",
      dtype: "f32",
      chosen: true,
    });
    const { stdout } = await clipcap(["bench", "decode.ancestry", ...QUICK, "--json"]);
    expect(JSON.parse(stdout).results).toHaveLength(1);
  });

  it("a file that cannot be written is said before anything is measured", async () => {
    const ran = await clipcap(["bench", "rows.repeat", ...QUICK, "--json", join(at("wrong.json"), "x.json")]);
    expect(ran).toMatchObject({ exitCode: 1, stdout: "" });
    expect(ran.stderr).toContain("cannot be written");
  });

  it("--trace holds one run of each case: of a backward its forward too", async () => {
    const trace = at("trace.json");
    const ran = await clipcap(["bench", "rows.repeat", ...QUICK, "--trace", trace]);
    expect(ran.exitCode).toBe(0);
    const { traceEvents } = JSON.parse(await readFile(trace, "utf8"));
    const dispatches = traceEvents.filter((event: { cat?: string }) => event.cat === "dispatch");
    expect(dispatches.map((event: { name: string }) => event.name)).toEqual(["repeat", "repeat", "d repeat"]);
  });

  it("--end-to-end measures the models at work: a table for each, JSON, a page", async () => {
    const [json, html] = [at("models.json"), at("models.html")];
    const ran = await clipcap(["bench", "--end-to-end", "first caption", "--json", json, "--html", html, "--quiet"]);
    expect(ran.exitCode, ran.stderr).toBe(0);
    expect(ran.stdout).toMatch(/^flickr8k-small \(shipped weights\)$/m);
    expect(ran.stdout).toMatch(/^ {2}second caption \(greedy, 1 image\) +[\d.]+ +ms/m);
    const report = JSON.parse(await readFile(json, "utf8"));
    expect(report).toMatchObject({ pattern: "first caption", peaks: { gflops: expect.any(Number) } });
    const loaded = report.measurements.find(({ what }: { what: string }) => what === "weights on the device");
    expect(loaded).toMatchObject({ unit: "MB", how: "f32" });
    expect(await readFile(html, "utf8")).toContain("<h1>Captions and training on ");
  });

  it("--end-to-end --list names its groups", async () => {
    const { lines } = await clipcap(["bench", "--end-to-end", "decode beam", "--list"]);
    expect(lines).toEqual(["original: decode beam 5", "original: decode by beams"]);
  });

  it("--end-to-end reports a group that fails, goes on, keeps what was measured", async () => {
    const json = at("groups.json");
    const ran = await clipcap(["bench", "--end-to-end", "--json", json, "--quiet"], {
      preload: join(ROOT, "test/e2e/failing-group.ts"),
    });
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr.trimEnd()).toBe("clipcap: lost: the GPU device was lost; open a new one");
    const { measurements } = JSON.parse(await readFile(json, "utf8"));
    expect(measurements.map(({ what }: { what: string }) => what)).toEqual(["before", "after"]);
  });

  it("Ctrl-C while a child process is measured leaves no folder behind", async () => {
    const temporary = at("temporary");
    await mkdir(temporary);
    const files = () => readdirSync(temporary, { recursive: true }).map(String);
    const ran = await clipcap(["bench", "--end-to-end", "process start"], {
      env: { TMPDIR: temporary },
      // once the child has begun to fill its cache of shaders
      disturb: (child) => {
        const watch = setInterval(() => {
          if (!files().some((file) => /^clipcap-bench-.*shaders./.test(file))) return;
          clearInterval(watch);
          child.kill("SIGINT");
        }, 20);
        child.on("close", () => clearInterval(watch));
      },
    });
    expect(ran.exitCode).toBe(130);
    expect(ran.stderr).not.toContain("failed");
    expect(files().filter((file) => file.startsWith("clipcap-bench-"))).toEqual([]);
  });

  it("Ctrl-C: exit code 130, and what was measured until then", async () => {
    const json = at("interrupted.json");
    const ran = await clipcap(["bench", "--json", json, ...QUICK], {
      disturb: (child) =>
        child.stderr.on("data", (text: string) => /measuring [1-9]\d* of/.test(text) && child.kill("SIGINT")),
    });
    expect(ran.exitCode).toBe(130);
    expect(ran.stdout).toContain("Interrupted: these are the cases that were measured before.");
    const report = JSON.parse(await readFile(json, "utf8"));
    expect(report.interrupted).toBe(true);
    expect(report.results.length).toBeGreaterThan(0);
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it.each([
    [["bench", "no-such-kernel"], 2, 'no case has "no-such-kernel" in its name; clipcap bench --list shows them all'],
    [["bench", "--end-to-end", "nothing"], 2, 'no group has "nothing" in its name; --end-to-end --list shows them all'],
    [["bench", "--end-to-end", "--runs", "3"], 2, "cannot be used with option"],
    [["bench", "--end-to-end", "--trace", "x.json"], 2, "cannot be used with option"],
    [["bench", "--runs", "0"], 2, "--runs is 0; it must be a whole number from 1 to 1000"],
    [["bench", "--target-ms", "x"], 2, '--target-ms is "x"; it must be a number'],
    [
      ["bench", "--json", "matmul"],
      2,
      "--json matmul names a file that does not end in .json; put a pattern before it",
    ],
    [["bench", "--compare", "a.json"], 2, "--compare takes two files, and there are 1"],
    [["bench", "--compare", "a.json", "b.json", "--list"], 2, "cannot be used with option"],
    [["bench", "--compare", "a.json", "b.json", "--runs", "3"], 2, "cannot be used with option"],
    [["bench", "--compare", "a.json", "b.json", "--target-ms", "3"], 2, "cannot be used with option"],
    [
      ["bench", "matmul", "--compare", "a.json", "b.json"],
      2,
      '--compare takes all that both files hold; leave the pattern "matmul" out',
    ],
    [["bench", "--compare", at("none.json"), at("none.json")], 1, `${at("none.json")} does not exist`],
    [
      ["bench", "--compare", "package.json", "package.json"],
      1,
      'package.json is no benchmark: it has no list "results"',
    ],
  ])("%j", async (args, exitCode, message) => {
    const ran = await clipcap(args);
    expect(ran.exitCode).toBe(exitCode);
    expect(ran.stdout).toBe("");
    expect(ran.stderr).toContain(message);
    expect(ran.stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  it("a report that would write to the terminal is refused in one clear line", async () => {
    await writeFile(at("hostile.json"), '{"results": [{"kernel": "\\u001b]0;owned\\u0007"}]}');
    const ran = await clipcap(["bench", "--compare", at("hostile.json"), at("hostile.json")]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).not.toContain("\u001b");
    expect(ran.stderr.trimEnd().split("\n")).toHaveLength(1);
  });
});
