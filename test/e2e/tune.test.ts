import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { clipcap, picture, ROOT, type RunOptions, temporaryFolder } from "./cli.js";
import { tinyConfig, writeJson } from "./tiny-run.js";

const folder = await temporaryFolder();
const caches = join(folder, "caches");
const env = { XDG_CACHE_HOME: caches, CLIPCAP_TUNE: "1" };
/** Where nothing is in Mesa's cache yet, every kernel that is measured is compiled. */
const COLD_MS = 300_000;

/** What `clipcap tune` wrote and printed. */
interface Table {
  readonly file: string;
  readonly digest: string;
  readonly results: readonly object[];
}
let table: Table;

beforeAll(async () => {
  const ran = await clipcap(["tune", "--seconds", "2", "--json", "--quiet"], { env });
  expect(ran.exitCode, ran.stderr).toBe(0);
  table = JSON.parse(ran.stdout);
}, COLD_MS);

/** Puts choices into the table that was written. */
async function choose(choices: Readonly<Record<string, string>>): Promise<void> {
  const results = Object.entries(choices).map(([of, chosen]) => {
    return { of, shape: "", usual: "usual", chosen, speedup: 2, wrong: [] };
  });
  const { file, digest: _, ...whole } = table;
  await writeFile(file, JSON.stringify({ format: 1, ...whole, results }));
}

const restore = () => {
  const { file, digest: _, ...whole } = table;
  return writeFile(file, JSON.stringify({ format: 1, ...whole }));
};

describe("clipcap tune", () => {
  it("keeps what it found, shows it again and says so in doctor", async () => {
    expect(table.file.startsWith(join(caches, "clipcap-webgpu", "tune"))).toBe(true);
    expect(table.results.length).toBeGreaterThan(0);
    const [shown, doctor, off] = [
      await clipcap(["tune", "--show", "--json"], { env }),
      await clipcap(["doctor", "--json"], { env }),
      await clipcap(["doctor", "--json"], { env: { ...env, CLIPCAP_TUNE: "0" } }),
    ];
    expect(JSON.parse(shown.stdout)).toEqual(table);
    const kernels = (stdout: string) => JSON.parse(stdout).checks.find((c: { name: string }) => c.name === "Kernels");
    expect(kernels(doctor.stdout)).toMatchObject({ ok: true, data: { digest: table.digest } });
    expect(kernels(doctor.stdout).detail).not.toContain("not used");
    expect(kernels(off.stdout).detail).toContain("not used, as CLIPCAP_TUNE=0 says");
  });

  it("Ctrl-C leaves the table that was there", async () => {
    const before = await readFile(table.file);
    const ran = await clipcap(["tune"], {
      env,
      disturb: (child) => child.stderr.on("data", (text: string) => /measuring/.test(text) && child.kill("SIGINT")),
    });
    expect(ran.exitCode).toBe(130);
    expect((await readFile(table.file)).equals(before)).toBe(true);
    expect(await readdir(join(caches, "clipcap-webgpu", "tune"))).toHaveLength(1);
  });

  it("keeps what it found earlier for classes that it does not reach, but nothing of a table that is damaged", async () => {
    const first = (table.results[0] as { of: string }).of;
    await choose({ [first]: "found earlier", "a class that is never reached": "found earlier" });
    const measured = async (seconds: string) => {
      const ran = await clipcap(["tune", "--seconds", seconds, "--json", "--quiet"], { env });
      expect(ran.exitCode, ran.stderr).toBe(0);
      const { results } = JSON.parse(ran.stdout) as { results: { of: string; chosen: string }[] };
      return { stderr: ran.stderr, results: new Map(results.map(({ of, chosen }) => [of, chosen])) };
    };
    const kept = await measured("2");
    expect(kept.stderr).toBe("");
    expect(kept.results.get("a class that is never reached")).toBe("found earlier");
    expect(kept.results.has(first)).toBe(true);
    expect(kept.results.get(first)).not.toBe("found earlier");
    await writeFile(table.file, "{");
    const anew = await measured("0.001");
    await restore();
    expect(anew.stderr).toMatch(/is damaged \(.*\) and is not used; what is measured now takes its place\n?$/);
    expect(anew.results.has("a class that is never reached")).toBe(false);
  });

  it("a damaged table is left out with one sentence, and refused by --show", async () => {
    await writeFile(table.file, "{");
    const image = await picture(join(folder, "0.png"));
    const [caption, show] = [
      await clipcap(["caption", image, "--quiet"], { env }),
      await clipcap(["tune", "--show"], { env }),
    ];
    await restore();
    expect(caption.exitCode, caption.stderr).toBe(0);
    expect(caption.stderr).toMatch(/^clipcap: \S+ is damaged \(.*\) and is not used; run clipcap tune again\n?$/);
    expect(show.exitCode).toBe(1);
    expect(show.stderr).toContain("is damaged");
  });

  it("refuses a time that is none", async () => {
    const ran = await clipcap(["tune", "--seconds", "0"], { env });
    expect(ran.exitCode).toBe(2);
    expect(ran.stderr).toMatch(/^clipcap: --seconds is 0; it must be above 0 and at most 3600\n?$/);
  });
});

describe("a training run", () => {
  const train = async (run: string, options: RunOptions = {}, ...flags: string[]) => {
    const ran = await clipcap(["train", "--out", join(folder, run), "--quiet", ...flags], { env, ...options });
    return ran.exitCode;
  };
  const weights = (run: string) => readFile(join(folder, run, "checkpoints/step-4/training.safetensors"));

  it(
    "takes the measured kernels, keeps them, and is resumed with them whatever was measured since",
    async () => {
      // Of width 48, where lanes and a tree of 256 add up in different orders; at 32 both give the same bits.
      const gpt2 = { config: { n_positions: 32, n_embd: 48, n_layer: 1, n_head: 2 }, tokenizer: "scenes" };
      const networks = { ...(tinyConfig().networks as object), gpt2 };
      const config = await writeJson(join(folder, "tiny.json"), tinyConfig({ steps: 4, networks }));
      const usual = { env: { ...env, CLIPCAP_TUNE: "0" } };
      expect(await train("usual", usual, "--config", config)).toBe(0);
      expect(await readdir(join(folder, "usual"))).not.toContain("tuned.json");
      await choose({ "layernorm 64": "shared256" });
      expect(await train("whole", {}, "--config", config)).toBe(0);
      expect((await weights("whole")).equals(await weights("usual"))).toBe(false);

      const preload = join(ROOT, "test/e2e/faults.ts");
      const killed = { preload, env: { ...env, CLIPCAP_KILL: "write .*metrics.jsonl", CLIPCAP_KILL_NTH: "3" } };
      expect(await train("broken", killed, "--config", config)).toBeNull();
      await restore();
      expect(await train("broken", {}, "--resume")).toBe(0);
      expect((await weights("broken")).equals(await weights("whole"))).toBe(true);
    },
    COLD_MS,
  );
});

it("--reset forgets", async () => {
  const [first, second, show] = [
    await clipcap(["tune", "--reset", "--json"], { env }),
    await clipcap(["tune", "--reset"], { env }),
    await clipcap(["tune", "--show"], { env }),
  ];
  expect(JSON.parse(first.stdout)).toEqual({ file: table.file, removed: true });
  expect(second.stdout).toContain("there was nothing to forget");
  expect(show.exitCode).toBe(1);
  expect(show.stderr).toMatch(/^clipcap: nothing was measured on .* yet; run clipcap tune\n?$/);
});
