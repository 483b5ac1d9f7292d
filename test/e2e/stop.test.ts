import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { clipcap, picture, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();
/** More than a device captions in the time of these tests. */
const IMAGES = 2000;

beforeAll(async () => {
  const one = await picture(join(folder, "0.png"));
  for (let i = 1; i < IMAGES; i++) await copyFile(one, join(folder, `${i}.png`));
});

/** Ctrl-C ends within a second; a busy machine may need another one. */
const SOON_MS = 2000;

describe("ending early", () => {
  it("Ctrl-C in a long batch: exit code 130, soon, without a word", async () => {
    let asked = 0;
    const ran = await clipcap(["caption", folder, "--json", "--quiet", "--batch", "4"], {
      disturb: (child) =>
        child.stdout.once("data", () => {
          asked = performance.now();
          child.kill("SIGINT");
        }),
    });
    expect(performance.now() - asked).toBeLessThan(SOON_MS);
    expect(ran.exitCode).toBe(130);
    expect(ran.stderr).toBe("");
    expect(ran.lines.length).toBeLessThan(IMAGES);
    for (const line of ran.lines) expect(() => JSON.parse(line)).not.toThrow();
  });

  it("Ctrl-C leaves no half-written file", async () => {
    const results = await temporaryFolder();
    const ran = await clipcap(["embed", folder, "--out", join(results, "x.safetensors")], {
      // The first line of progress tells that the work has begun.
      disturb: (child) =>
        child.stderr.on("data", (text: string) => /embedding|compiling/.test(text) && child.kill("SIGINT")),
    });
    expect(ran.exitCode).toBe(130);
    expect(await readdir(results)).toEqual([]);
  });

  it("nobody reads on (`| head -1`): ends quietly", async () => {
    const ran = await clipcap(["caption", folder, "--quiet", "--batch", "1"], {
      disturb: (child) => child.stdout.once("data", () => child.stdout.destroy()),
    });
    expect(ran.exitCode).toBe(0);
    expect(ran.stderr).toBe("");
  });
});
