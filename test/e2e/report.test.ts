import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { clipcap, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();

async function run(name: string, loss: number): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  await writeFile(join(path, "metrics.jsonl"), `{"kind":"dev","step":4,"epoch":0.5,"loss":${loss}}\n`);
  return path;
}

describe("clipcap report", () => {
  it("writes a page into the run's folder", async () => {
    const path = await run("one", 2.5);
    const ran = await clipcap(["report", path]);
    expect(ran.lines).toEqual([`Wrote ${join(path, "report.html")}`]);
    expect(await readFile(join(path, "report.html"), "utf8")).toContain("<strong>2.5</strong>");
  });

  it("compares runs, and prints their numbers as JSON", async () => {
    const [a, b] = [await run("a/same", 2), await run("b/same", 1)];
    const out = join(folder, "both.html");
    const ran = await clipcap(["report", a, b, "--out", out, "--json"]);
    const common = { steps: 4, epochs: 0.5, bestStep: 4, brokenLines: 0 };
    expect(JSON.parse(ran.stdout)).toEqual({
      out,
      runs: [
        { name: a, folder: a, bestDevLoss: 2, ...common },
        { name: b, folder: b, bestDevLoss: 1, ...common },
      ],
    });
  });

  it("says what is wrong with a folder that is no run", async () => {
    const ran = await clipcap(["report", join(folder, "absent")]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toMatch(/^clipcap: .*absent is no training run: it has neither metrics\.jsonl nor config\.json/);
  });

  it("needs a run, and not too many", async () => {
    expect((await clipcap(["report"])).exitCode).toBe(2);
    const ran = await clipcap(["report", ..."abcdefghi"]);
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toContain("A report shows 1 to 8 runs, and 9 were given.");
  });
});
