import { afterAll, beforeAll, expect, it } from "vitest";
import { loadClipVision } from "../../src/models/clip.js";
import { loadGpt2 } from "../../src/models/gpt2.js";
import { listWeights, unstacked, WeightLoader } from "../../src/models/weights.js";
import type { Device } from "../../src/runtime/device.js";
import { ParameterStore } from "../../src/train/parameters.js";
import { parseClipConfig, parseGpt2Config } from "../../src/weights/config.js";
import { canonicalNames } from "../../src/weights/names.js";
import type { TensorFile } from "../../src/weights/tensor-file.js";
import { goldenJson, goldenTensors } from "../goldens.js";
import { testDevice } from "./harness.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ limits: "default" });
});
afterAll(() => device.close());

const gpt2 = parseGpt2Config(goldenJson("tiny", "tiny-gpt2", "config.json"));
const { vision } = parseClipConfig(goldenJson("tiny", "tiny-clip", "config.json"));

const MODELS: [string, (w: WeightLoader) => Promise<unknown>, number][] = [
  ["tiny-gpt2", (w) => loadGpt2(w, gpt2), 28],
  ["tiny-clip", (w) => loadClipVision(w, vision), 40], // its vision tower
];

it.each(MODELS)(
  "%s: listed without reading, loaded into a store, taken out as in the file",
  async (folder, load, n) => {
    const file = await canonicalNames(await goldenTensors("tiny", folder, "model.safetensors"));
    const used = device.memory().used;
    const unreadable: TensorFile = { ...file, readF32: () => Promise.reject(new Error("read")) };
    const listed = await listWeights(device, unreadable, load);
    expect(device.memory().used).toBe(used);

    const parameters = listed.map(({ tensor: { label, shape } }) => ({ name: label, shape, decay: shape.length > 1 }));
    const store = ParameterStore.create(device, parameters);
    const allocate = (label: string) => store.tensor(label);
    const loader = new WeightLoader(device, file, { dtype: "f16", account: "none", allocate });
    await load(loader);
    expect(device.memory().byLabel.none).toBeUndefined();

    const names: string[] = [];
    for (const loaded of loader.loaded) {
      for (const { name, shape, values } of unstacked(loaded, await store.read(loaded.tensor.label))) {
        names.push(name);
        expect(values).toEqual(await file.readF32(name));
        const stored = file.tensors.get(name)!.shape;
        // the file keeps patches as [C, 3, P, P], the product wants [C, 3*P*P]
        expect(shape).toEqual(stored.length === 4 ? [stored[0], stored[1]! * stored[2]! * stored[3]!] : stored);
      }
    }
    expect(new Set(names).size).toBe(n);
    store.free();
    expect(device.memory().byLabel.parameters).toBeUndefined();
  },
);

it("says which weights are missing while listing", async () => {
  const file = await canonicalNames(await goldenTensors("tiny", "tiny-gpt2", "model.safetensors"));
  await expect(listWeights(device, file, (w) => loadClipVision(w, vision))).rejects.toThrow("vision_model");
});
