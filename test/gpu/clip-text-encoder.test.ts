import { afterAll, beforeAll, expect, test } from "vitest";
import { readClipTokenizer } from "../../src/data/tokenizer-folder.js";
import { clipText, endOfText, loadClipText } from "../../src/models/clip.js";
import { ClipTextEncoder } from "../../src/models/clip-text-encoder.js";
import { WeightLoader } from "../../src/models/weights.js";
import { type Device, mapFolder, modelFolder } from "../../src/node.js";
import { subfolder } from "../../src/weights/folder.js";
import { openClip } from "../../src/weights/model-files.js";
import { nmse, runOp, testDevice, upload } from "./harness.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device?.close());

const LONG = "a dog runs through the snow and ".repeat(20);
const TEXTS = [
  "A dog in the snow.",
  LONG,
  "",
  "犬",
  "A dog in the snow.",
  "Two men in red shirts play football on grass.",
];

test("equals the tower on texts padded to its full length, one by one", async () => {
  const encoder = await ClipTextEncoder.load(device, await modelFolder());
  const got = await encoder.embed(TEXTS);
  encoder.close();
  const folder = await modelFolder();
  const clip = await openClip(subfolder(folder, "clip"));
  const loader = new WeightLoader(device, clip.weights, { dtype: "f32", account: "test" });
  const tower = await loadClipText(loader, clip.config.text);
  const tokenizer = await readClipTokenizer(clip.folder);
  const T = clip.config.text.positions;
  const B = TEXTS.length;
  const ids = TEXTS.map((text) => tokenizer.encodeClip(text, T));
  const last = ids.map((own, b) => b * T + endOfText(own, clip.config.text));
  expect(last.map((row) => row % T)[1]).toBe(T - 1); // the long text was cut, its end kept
  const [expected] = await runOp(device, (p) => {
    const tokens = upload(p, "ids", [B * T], Uint32Array.from(ids.flat()), "u32");
    const rows = upload(p, "last", [B], Uint32Array.from(last), "u32");
    return [clipText(p, tower, tokens, rows, { batch: B, tokens: T }).embeds];
  });
  const width = expected!.length / B;
  for (let b = 0; b < B; b++) expect(nmse(got[b]!, expected!.slice(b * width, (b + 1) * width))).toBeLessThan(1e-9);
  expect(got[4]).toEqual(got[0]);
  loader.free();
  await folder.close();
});

test("frees its memory, also when it was stopped", async () => {
  const used = () => device.memory().byLabel.clip_text ?? 0;
  const encoder = await ClipTextEncoder.load(device, await modelFolder());
  expect(used()).toBeGreaterThan(4e6);
  await expect(encoder.embed(["a"], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "aborted" });
  expect(await encoder.embed([])).toEqual([]);
  encoder.close();
  expect(used()).toBe(0);
});

test("a folder without the tower says so", async () => {
  const folder = await modelFolder();
  const files = new Map<string, Uint8Array>();
  for (const name of ["clipcap.json", "clip/config.json"]) {
    const source = await folder.open(name);
    files.set(name, await source.read(0, source.size));
  }
  const whole = await (await folder.open("clip/model.safetensors")).read(0, 2 ** 20);
  const headerBytes = Number(new DataView(whole.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(whole.subarray(8, 8 + headerBytes)));
  await folder.close();
  // The vision tower's tensors alone, of zeros, one behind the other.
  let end = 0;
  const kept: Record<string, unknown> = {};
  for (const [name, { dtype, shape, data_offsets: at }] of Object.entries<{
    dtype: string;
    shape: number[];
    data_offsets: [number, number];
  }>(header)) {
    if (!name.startsWith("vision_model") && name !== "visual_projection.weight") continue;
    kept[name] = { dtype, shape, data_offsets: [end, (end += at[1] - at[0])] };
  }
  const text = new TextEncoder().encode(JSON.stringify(kept));
  const bytes = new Uint8Array(8 + text.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  files.set("clip/model.safetensors", bytes);
  await expect(ClipTextEncoder.load(device, mapFolder("half", files))).rejects.toMatchObject({
    code: "not-found",
    message:
      "half/clip has no text tower, without which texts and images cannot be compared; take a CLIP folder that is complete",
  });
});
