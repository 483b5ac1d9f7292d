import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { convert } from "../../../src/weights/convert.js";
import { openTensors } from "../../../src/weights/folder.js";
import { openModel } from "../../../src/weights/model-files.js";
import { nodeFolder } from "../../../src/weights/node-folder.js";
import { openFile } from "../../../src/weights/node-source.js";
import { isQuantized, type TensorFile } from "../../../src/weights/tensor-file.js";
import { goldenPath } from "../../goldens.js";

let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);
const tiny = (...parts: string[]) => goldenPath("tiny", ...parts);
const SMALL = fileURLToPath(new URL("../../../weights/flickr8k-small", import.meta.url));
const parts = { clip: tiny("tiny-clip"), gpt2: tiny("tiny-gpt2") };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "clipcap-convert-"));
  for (const kind of ["mlp", "transformer"]) {
    await convert(tiny(`tiny-clipcap-${kind}`, "coco_prefix-009.pt"), at(kind), parts);
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function withModel<T>(
  path: string,
  use: (model: Awaited<ReturnType<typeof openModel>>) => Promise<T>,
): Promise<T> {
  const source = await nodeFolder(path);
  try {
    return await use(await openModel(source));
  } finally {
    await source.close();
  }
}

async function expectSameValues(a: TensorFile, b: TensorFile, tolerance: (name: string, max: number) => number) {
  for (const [name, info] of a.tensors) {
    if (name.endsWith(".scale")) continue;
    expect(b.tensors.get(name)?.shape).toEqual(info.shape);
    const [x, y] = [await a.readF32(name), await b.readF32(name)];
    const max = x.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    const error = x.reduce((m, v, i) => Math.max(m, Math.abs(v - y[i]!)), 0);
    expect(error).toBeLessThanOrEqual(tolerance(name, max));
  }
}
const exact = () => 0;

describe("convert", () => {
  it.each(["mlp", "transformer"] as const)(
    "the original %s checkpoint becomes a model folder and back",
    async (kind) => {
      await withModel(at(kind), async (model) => {
        expect(model.manifest).toMatchObject({ name: kind, normalizePrefix: false });
        expect(model.mapper.config).toMatchObject({ type: kind, prefixLength: 4, clipWidth: 48, gptWidth: 64 });
        expect(readdirSync(at(kind, "clip")).sort()).toEqual([
          "config.json",
          "model.safetensors",
          "preprocessor_config.json",
        ]);
      });
      await convert(at(kind), at(`${kind}.pt`));
      const [back, original] = await Promise.all([
        openFile(at(`${kind}.pt`)),
        openFile(tiny(`tiny-clipcap-${kind}`, "coco_prefix-009.pt")),
      ]);
      const [a, b] = [await openTensors(back), await openTensors(original)];
      const kept = [...b.tensors.keys()].filter((name) => !/\.attn\.(masked_)?bias$/.test(name));
      expect([...a.tensors.keys()].sort()).toEqual(kept.sort());
      await expectSameValues(a, b, exact);
      await Promise.all([back.close(), original.close()]);
    },
  );

  it("f16 halves the matrices and reports its error; f16 to f32 and back loses nothing", async () => {
    const report = await convert(at("transformer"), at("f16"), { dtype: "f16" });
    const mapper = report.files.find((file) => file.file === "mapper.safetensors")!;
    expect(mapper.converted).toBe(12); // prefix_const, linear and 2 layers of 5 matrices
    expect(mapper.lossy).toBe(12);
    expect(mapper.maxError).toBeGreaterThan(0);
    expect(mapper.maxError).toBeLessThan(2 ** -10);
    await withModel(at("transformer"), (a) =>
      withModel(at("f16"), async (b) => {
        expect(b.gpt2.weights.tensors.get("h.0.ln_1.weight")!.dtype).toBe("F32");
        expect(b.gpt2.weights.tensors.get("wte.weight")!.dtype).toBe("F16");
        await expectSameValues(a.mapper.weights, b.mapper.weights, (_, max) => max * 2 ** -11);
      }),
    );
    const up = await convert(at("f16"), at("f32-again"), { dtype: "f32" });
    expect(up.files.map((file) => [file.lossy, file.maxError])).toEqual([
      [0, 0],
      [0, 0],
      [0, 0],
    ]);
    const down = await convert(at("f32-again"), at("f16-again"), { dtype: "f16" });
    expect(down.files.every((file) => file.converted > 0 && file.lossy === 0)).toBe(true);
    for (const file of ["mapper.safetensors", "clip/model.safetensors", "gpt2/model.safetensors"]) {
      expect(readFileSync(at("f16-again", file)).equals(readFileSync(at("f16", file)))).toBe(true);
    }
  });

  it("q8 stores int8 rows with scales for matrices only, and reads and converts back", async () => {
    const report = await convert(SMALL, at("q8"), { dtype: "q8" });
    expect(report.files.every((file) => file.converted > 0)).toBe(true);
    await withModel(SMALL, (a) =>
      withModel(at("q8"), async (b) => {
        const quantized = (name: string) => isQuantized(b.gpt2.weights, name);
        expect(["wte.weight", "h.5.mlp.c_fc.weight"].every(quantized)).toBe(true);
        expect(["wpe.weight", "ln_f.weight", "h.5.mlp.c_fc.bias"].some(quantized)).toBe(false);
        expect(b.gpt2.weights.tensors.get("wte.weight.scale")).toMatchObject({ dtype: "F32", shape: [4096] });
        expect(b.mapper.config).toEqual(a.mapper.config);
        await expectSameValues(a.gpt2.weights, b.gpt2.weights, (name, max) => (quantized(name) ? max / 253 : 0));
        await expectSameValues(a.mapper.weights, b.mapper.weights, (_, max) => max / 253);
        const rows = await b.gpt2.weights.readF32("wte.weight", { rows: [7, 9] });
        expect(rows).toEqual((await b.gpt2.weights.readF32("wte.weight")).slice(7 * 256, 9 * 256));
      }),
    );
    await convert(at("q8"), at("q8-as-f32"), { dtype: "f32" });
    await withModel(at("q8"), (a) =>
      withModel(at("q8-as-f32"), async (b) => {
        expect([...b.gpt2.weights.tensors.keys()].some((name) => name.endsWith(".scale"))).toBe(false);
        await expectSameValues(a.gpt2.weights, b.gpt2.weights, exact);
      }),
    );
    await convert(at("q8"), at("q8-copy"));
    expect(readFileSync(at("q8-copy/mapper.safetensors")).equals(readFileSync(at("q8/mapper.safetensors")))).toBe(true);
    await convert(at("q8"), at("q8.pt"));
    expect(JSON.parse(readFileSync(at("q8/clipcap.json"), "utf8"))).toMatchObject({ stop_tokens: [14, 0] });
  });

  it("Hugging Face folders change their type alone", async () => {
    const report = await convert(parts.gpt2, at("gpt2-f16"), { dtype: "f16" });
    expect(report.files).toHaveLength(1);
    expect(readdirSync(at("gpt2-f16")).sort()).toEqual(["config.json", "model.safetensors"]);
    const clip = await convert(parts.clip, at("clip-copy"));
    expect(clip.files[0]).toMatchObject({ file: "model.safetensors", tensors: 78, converted: 0 });
  });

  it("accepts the tensors of a checkpoint as safetensors too", async () => {
    await convert(tiny("tiny-clipcap-mlp", "model.safetensors"), at("from-safetensors"), {
      ...parts,
      normalizePrefix: true,
    });
    for (const file of ["mapper.safetensors", "gpt2/model.safetensors"]) {
      expect(readFileSync(at("from-safetensors", file)).equals(readFileSync(at("mlp", file)))).toBe(true);
    }
    await withModel(at("from-safetensors"), async (model) => expect(model.manifest.normalizePrefix).toBe(true));
  });
});

describe("refusals leave nothing behind", () => {
  const checkpoint = tiny("tiny-clipcap-mlp", "coco_prefix-009.pt");
  const nothing = () => readdirSync(folder).filter((name) => name.startsWith("refused"));

  it.each<[string, () => Promise<unknown>, RegExp]>([
    ["no --clip", () => convert(checkpoint, at("refused")), /add --clip DIR and --gpt2 DIR/],
    [
      "a CLIP of another width",
      () => convert(checkpoint, at("refused"), { ...parts, clip: join(SMALL, "clip") }),
      /takes embeddings of 48 values, but this CLIP gives 256.*640: RN50x4/,
    ],
    [
      "a GPT-2 of another width",
      () => convert(checkpoint, at("refused"), { ...parts, gpt2: join(SMALL, "gpt2") }),
      /"wte.weight" has shape \[211,64\], but the configuration needs \[4096,256\]/,
    ],
    ["q8 as checkpoint", () => convert(SMALL, at("refused.pt"), { dtype: "q8" }), /holds f32 or f16/],
    ["checkpoint to checkpoint", () => convert(checkpoint, at("refused.pt")), /is a checkpoint already/],
    ["folder to checkpoint", () => convert(parts.gpt2, at("refused.pt")), /has no clipcap.json/],
    ["missing input", () => convert(at("none"), at("refused")), /none does not exist/],
    ["a folder of anything", () => convert(folder, at("refused")), /has no config.json/],
    ["an output that exists", () => convert(parts.gpt2, at("mlp")), /exists already/],
    ["an output without a name", () => convert(at("mlp"), ""), /The output has no name/],
    ["another CLIP for a folder", () => convert(at("mlp"), at("o8"), { clip: parts.clip }), /--clip goes with a check/],
    [
      "normalize for a folder",
      () => convert(at("mlp"), at("o9"), { normalizePrefix: true }),
      /--normalize-prefix goes/,
    ],
    ["an output inside a file", () => convert(parts.gpt2, at("mlp", "clipcap.json", "refused")), /clipcap.json/],
    [
      "a text as checkpoint",
      () => convert(tiny("tiny-gpt2", "config.json"), at("refused"), parts),
      /not a safetensors file/,
    ],
    [
      "the signal",
      () => convert(SMALL, at("refused"), { signal: AbortSignal.abort() }),
      /cancelled; nothing was left behind/,
    ],
  ])("%s", async (_, run, message) => {
    await expect(run()).rejects.toThrow(message);
    expect(nothing()).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("stops in the middle when the signal fires", async () => {
    const abort = new AbortController();
    const seen: string[] = [];
    const onProgress = (file: string) => {
      seen.push(file);
      if (file === "gpt2/model.safetensors") abort.abort();
    };
    await expect(
      convert(SMALL, at("refused"), { dtype: "q8", signal: abort.signal, onProgress }),
    ).rejects.toMatchObject({ code: "aborted" });
    expect(seen).toContain("clip/model.safetensors");
    expect(readdirSync(folder).filter((name) => /refused|tmp$/.test(name))).toEqual([]);
  });
});

/** clipcap.json as JSON.parse gives it, to be broken. */
interface Description {
  [field: string]: unknown;
  mapper: unknown;
}
const mapperOf = (json: Description) => json.mapper as Record<string, unknown>;

describe("openModel checks the folder", () => {
  const broken = (name: string, change: (json: Description) => void) => {
    cpSync(at("transformer"), at(name), { recursive: true });
    const json = JSON.parse(readFileSync(at(name, "clipcap.json"), "utf8"));
    change(json);
    writeFileSync(at(name, "clipcap.json"), JSON.stringify(json));
    return withModel(at(name), async () => undefined);
  };

  it.each<[string, (json: Description) => void, RegExp]>([
    ["another format", (j) => void (j.format = 2), /"format" must be 1/],
    ["an unknown mapper", (j) => void (mapperOf(j).type = "rnn"), /"type" must be one of mlp, transformer, not "rnn"/],
    [
      "the wrong mapper",
      (j) => void (mapperOf(j).type = "mlp"),
      /says mapper type mlp, but mapper.safetensors has transformer/,
    ],
    [
      "another prefix length",
      (j) => void (mapperOf(j).prefix_length = 5),
      /says prefix_length 5, but mapper.safetensors has 4/,
    ],
    [
      "another clip length",
      (j) => void (mapperOf(j).clip_length = 9),
      /says clip_length 9, but mapper.safetensors has 3/,
    ],
    ["other layers", (j) => void (mapperOf(j).num_layers = 9), /says num_layers 9, but mapper.safetensors has 2/],
    ["a path outside", (j) => void (j.clip = "../../etc"), /"clip" must be a folder inside the model folder/],
    ["an absolute path", (j) => void (j.gpt2 = "/etc"), /"gpt2" must be a folder inside the model folder/],
    ["a missing part", (j) => void (j.clip = "clap"), /has no clap\/config.json/],
    ["strange stop tokens", (j) => void (j.stop_tokens = ["."]), /"stop_tokens" must be a list of token ids/],
    ["a mapper that is a list", (j) => void (j.mapper = []), /mapper must be a JSON object, not a list/],
  ])("%s", async (name, change, message) => {
    await expect(broken(name, change)).rejects.toMatchObject({
      code: expect.stringMatching(/bad-weights|not-found/),
      message: expect.stringMatching(message),
    });
  });

  it("names the file when weights are missing or empty", async () => {
    cpSync(at("mlp"), at("empty"), { recursive: true });
    writeFileSync(at("empty", "gpt2", "model.safetensors"), "");
    await expect(withModel(at("empty"), async () => undefined)).rejects.toThrow(
      /gpt2.model.safetensors has only 0 bytes/,
    );
    rmSync(at("empty", "gpt2", "model.safetensors"));
    await expect(withModel(at("empty"), async () => undefined)).rejects.toThrow(
      /has no model.safetensors or pytorch_model.bin/,
    );
    expect(existsSync(at("empty", "mapper.safetensors"))).toBe(true);
    await expect(nodeFolder(at("mlp", "clipcap.json"))).rejects.toThrow(/is a file; a model is a folder/);
  });
});
