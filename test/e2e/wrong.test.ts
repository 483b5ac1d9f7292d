import { cp, mkdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { clipcap, picture, ROOT, temporaryFolder } from "./cli.js";

const folder = await temporaryFolder();
const at = (name: string) => join(folder, name);
const image = at("a.png");
const SHIPPED = join(ROOT, "weights/flickr8k-small");
const FAULTS = join(ROOT, "test/e2e/faults.ts");

beforeAll(() => picture(image));

describe("wrong usage: one line, exit code 2, before anything is loaded", () => {
  it.each([
    [["caption"], "missing required argument 'image'"],
    [["caption", image, "--beams", "3"], "unknown option '--beams' (Did you mean --beam?)"],
    [["captoin", image], "unknown command 'captoin' (Did you mean caption?)"],
    [["caption", image, "--max-tokens", "0"], "--max-tokens is 0; it must be a whole number from 1 to"],
    [["caption", image, "--max-tokens", "many"], '--max-tokens is "many"; it must be a number'],
    [["caption", image, "--beam", "3", "--top-p", "0.9"], "must be without --top-k and --top-p"],
    [["caption", image, "--beam", "3", "--greedy"], "cannot be used with option"],
    [["caption", image, "--num", "3", "--greedy"], "cannot be used with option"],
    [["caption", image, "--crop", "middle"], "Allowed choices are torchvision, hf"],
    [["embed"], "there is nothing to embed"],
    [["embed", "--format", "csv", "x.png"], "--format goes with --data"],
  ])("%j", async (args, message) => {
    const ran = await clipcap(args);
    expect(ran.exitCode).toBe(2);
    expect(ran.stdout).toBe("");
    expect(ran.stderr).toContain(message);
    expect(ran.stderr.trimEnd().split("\n")).toHaveLength(1);
  });

  it("the help of every command is on stdout and has examples", async () => {
    const help = await clipcap(["--help"]);
    const commands = [...help.stdout.matchAll(/^ {2}([a-z]+) (?:\[options\]|<)/gm)].map((match) => match[1]!);
    expect(commands).toEqual(expect.arrayContaining(["caption", "embed", "convert", "fetch", "doctor"]));
    const own = ["caption", "embed", "doctor"];
    for (const ran of await Promise.all(own.map((command) => clipcap([command, "--help"])))) {
      expect(ran.exitCode).toBe(0);
      expect(ran.stdout).toContain("Examples:");
      for (const option of ["--json", "--quiet", "--device"]) expect(ran.stdout).toContain(option);
    }
  });
});

describe("what is not as it should be: one sentence, exit code 1", () => {
  const fails = async (args: readonly string[], message: string, options = {}) => {
    const ran = await clipcap(args, options);
    expect(ran.stderr).toContain(message);
    expect(ran.exitCode).toBe(1);
    expect(ran.stdout).toBe("");
    expect(ran.stderr).not.toMatch(/^\s+at /m);
  };

  it("a missing file", () => fails(["caption", at("none.jpg")], `${at("none.jpg")} does not exist`));

  it("a pattern without matches", () => fails(["caption", at("*.gif")], "matches no file"));

  it("a folder without images", async () => {
    await mkdir(at("empty"), { recursive: true });
    await fails(["caption", at("empty")], "has no images in it");
  });

  it("an unreadable folder", async () => {
    const options = { preload: FAULTS, env: { CLIPCAP_FAULT: "locked-folders" } };
    await fails(["caption", folder], "cannot be read (EACCES); check its permissions", options);
  });

  it("text that is called .jpg, an empty file", async () => {
    await writeFile(at("text.jpg"), "not an image");
    await writeFile(at("empty.png"), "");
    await fails(["caption", at("text.jpg")], `${at("text.jpg")} cannot be read as an image`);
    await fails(["caption", at("empty.png")], `${at("empty.png")} is empty`);
  });

  it("a full disk behind standard output", () =>
    fails(["fetch"], "standard output cannot be written (ENOSPC)", {
      preload: FAULTS,
      env: { CLIPCAP_FAULT: "full-output" },
    }));

  it("no adapter: says how to get one", async () => {
    const env = { VK_ICD_FILENAMES: "/nonexistent", VK_DRIVER_FILES: "/nonexistent" };
    await fails(["caption", image], "no WebGPU adapter was found; install a GPU driver", { env });
    const doctor = await clipcap(["doctor"], { env });
    expect(doctor.exitCode).toBe(1);
    expect(doctor.stdout).toMatch(/^FAIL {2}Adapter/m);
  });

  it("an adapter that is not there: says which are", () =>
    fails(["caption", image, "--device", "nothing-like-it"], "no adapter is called nothing-like-it; there is "));

  it("a model folder that is missing, incomplete, damaged", async () => {
    await fails(["caption", image, "--model", at("none")], "there is no model ");

    await mkdir(at("incomplete"), { recursive: true });
    await writeFile(at("incomplete/clipcap.json"), await readFile(join(SHIPPED, "clipcap.json")));
    await fails(["caption", image, "--model", at("incomplete")], "is it the folder of a complete model?");

    await cp(SHIPPED, at("damaged"), { recursive: true });
    await truncate(at("damaged/gpt2/model.safetensors"), 1_000_000);
    await fails(["caption", image, "--model", at("damaged")], "damaged/gpt2/model.safetensors");
  });

  it("a stop text that is no single token is wrong usage, known with the model", async () => {
    const ran = await clipcap(["caption", image, "--stop", "xyzzy"]);
    expect(ran.stderr).toMatch(/^clipcap: --stop is "xyzzy"; it must be a text that is one token/m);
    expect(ran.exitCode).toBe(2);
  });
});
