import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { writeReport } from "../../../src/train/report/node-report.js";

const folder = mkdtempSync(join(tmpdir(), "clipcap-report-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Writes files of a run; values are one JSON object per line, except in config.json. */
async function run(name: string, files: Readonly<Record<string, readonly object[] | Buffer>>): Promise<string> {
  for (const [file, content] of Object.entries({ "config.json": [{}], ...files })) {
    const path = join(folder, name, file);
    await mkdir(join(path, ".."), { recursive: true });
    await writeFile(path, Buffer.isBuffer(content) ? content : content.map((one) => JSON.stringify(one)).join("\n"));
  }
  return join(folder, name);
}

async function pageOf(path: string): Promise<string> {
  await writeReport([path], join(path, "report.html"));
  return readFile(join(path, "report.html"), "utf8");
}

describe("writeReport", () => {
  it("names the first of the best dev losses, and the last training loss", async () => {
    const dev = [4, 2, 2, 3].map((loss, i) => ({ kind: "dev", step: i + 1, loss }));
    const train = [1, 2].map((step) => ({ kind: "train", step, loss: 10 - step, seconds: 50 * step }));
    const path = await run("best", { "metrics.jsonl": [...train, ...dev] });
    const [summary] = await writeReport([path], join(path, "report.html"));
    expect(summary).toEqual({
      name: "best",
      folder: path,
      steps: 4,
      epochs: undefined,
      seconds: 100,
      loss: 8,
      bestDevLoss: 2,
      bestStep: 2,
      brokenLines: 0,
    });
  });

  it("offers the axes that were recorded", async () => {
    const page = await pageOf(
      await run("axes", { "metrics.jsonl": [{ kind: "train", step: 1, loss: 2, seconds: 3 }] }),
    );
    expect(Array.from(page.matchAll(/name="axis" value="(\w+)"/g), (match) => match[1])).toEqual(["step", "seconds"]);
  });

  it("says it for every run that has recorded nothing", async () => {
    expect(await pageOf(await run("nothing", {}))).toContain("This run has recorded nothing yet");
  });

  it("shows thumbnails that are PNG files, as long as the page stays small", async () => {
    const samples = [0, 1, 2, 3].map((i) => ({ step: 1, id: `${i}`, caption: "A dog.", picture: `samples/${i}.png` }));
    const path = await run("thumbnails", {
      "samples.jsonl": samples,
      "samples/0.png": PNG,
      "samples/1.png": Buffer.from("<svg onload='alert(1)'>"),
      "samples/2.png": Buffer.concat([PNG, Buffer.alloc(400_000)]),
    });
    const page = await pageOf(path);
    expect(Array.from(page.matchAll(/<img src="([^"]*)"/g), (match) => match[1])).toEqual([
      `data:image/png;base64,${PNG.toString("base64")}`,
    ]);
    expect(page.match(/no picture/g)).toHaveLength(3);
  });

  it("stays below a megabyte for long runs with many samples", async () => {
    const fields = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`field${i}`, i / 7]));
    const metrics = Array.from({ length: 20_000 }, (_, step) => ({
      kind: "train",
      step,
      seconds: step / 3,
      ...fields,
    }));
    const steps = Array.from({ length: 100 }, (_, step) => step);
    const samples = steps.flatMap((step) =>
      steps.map((id) => ({ step, id: `${id}`, caption: `A dog runs over the grass. ${step}`, references: ["A dog."] })),
    );
    const runs = await Promise.all(
      ["long-a", "long-b", "long-c"].map((name) => run(name, { "metrics.jsonl": metrics, "samples.jsonl": samples })),
    );
    const out = join(folder, "long.html");
    await writeReport(runs, out);
    expect((await stat(out)).size).toBeLessThan(1_000_000);
    expect(await readFile(out, "utf8")).toContain("A dog runs over the grass. 99</span></p>");
  });

  it("leaves the old page where a run cannot be read", async () => {
    const path = await run("good", {});
    const before = await pageOf(path);
    await expect(writeReport([join(folder, "absent")], join(path, "report.html"))).rejects.toThrow(
      /is no training run/,
    );
    expect(await readFile(join(path, "report.html"), "utf8")).toBe(before);
  });
});
