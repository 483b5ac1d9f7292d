import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { addConvert } from "../../../src/cli/convert.js";
import { addFetch } from "../../../src/cli/fetch.js";
import { goldenPath } from "../../goldens.js";
import { HubServer } from "./hub-server.js";

let folder: string;
let printed: string[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "clipcap-commands-"));
  printed = [];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => printed.push(String(text).trimEnd()) > 0);
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

async function run(...words: string[]): Promise<void> {
  const program = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  addConvert(program);
  addFetch(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => undefined });
  await program.parseAsync(["node", "clipcap", ...words]);
}

describe("clipcap convert", () => {
  const gpt2 = goldenPath("tiny", "tiny-gpt2");

  it("reports what was rounded, as sentences, JSON or not at all", async () => {
    await run("convert", gpt2, join(folder, "a"), "--dtype", "f16");
    expect(printed[0]).toMatch(
      /^model.safetensors: 28 tensors, 10 converted, 10 rounded, by at most 0\.000\d+ \(.*\)$/,
    );
    expect(printed[1]).toBe(`Wrote ${join(folder, "a")}`);
    await run("convert", join(folder, "a"), join(folder, "b"), "--json");
    expect(JSON.parse(printed[2]!)).toMatchObject({ files: [{ tensors: 28, converted: 0 }] });
    await run("convert", join(folder, "a"), join(folder, "c"), "--quiet", "--dtype", "f32");
    expect(printed).toHaveLength(3);
  });

  it("refuses unknown options and types", async () => {
    await expect(run("convert", gpt2, join(folder, "e"), "--dtype", "q4")).rejects.toThrow(/choices are f32, f16, q8/);
    await expect(run("convert", gpt2, join(folder, "e"), "--fast")).rejects.toThrow(/unknown option '--fast'/);
    await expect(run("convert", gpt2)).rejects.toThrow(/missing required argument 'out'/);
  });
});

describe("clipcap fetch", () => {
  it("lists the models", async () => {
    await run("fetch");
    expect(printed).toHaveLength(8);
    expect(printed[0]).toMatch(/^clip-vit-base-patch32 +openai\/clip-vit-base-patch32 \(refs\/pr\/15\)$/);
  });

  it("downloads and prints the folder last", async () => {
    const server = new HubServer("openai-community/gpt2");
    for (const file of ["config.json", "tokenizer.json", "model.safetensors"]) server.add(file, `content of ${file}`);
    const endpoint = await server.start();
    try {
      await run("fetch", "gpt2", "--cache", folder, "--endpoint", endpoint);
      expect(printed[0]).toBe("openai-community/gpt2 at 01234567:");
      const model = printed.at(-1)!;
      expect(readdirSync(model).sort()).toEqual(["config.json", "model.safetensors", "tokenizer.json"]);
      await run("fetch", "gpt2", "--cache", folder, "--endpoint", endpoint, "--quiet");
      expect(printed.at(-1)).toBe(model);
      await run("fetch", "gpt2", "--cache", folder, "--endpoint", endpoint, "--json");
      expect(JSON.parse(printed.at(-1)!)).toMatchObject({ folder: model, offline: false });
    } finally {
      await server.stop();
    }
  });
});
