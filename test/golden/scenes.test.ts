import { afterAll, beforeAll, expect, test } from "vitest";
import { checkCaption } from "../../src/data/scenes/captions.js";
import { sceneDataset } from "../../src/data/scenes/dataset.js";
import { drawScene } from "../../src/data/scenes/draw.js";
import { ClipCap, type Device, modelFolder } from "../../src/node.js";
import { testDevice } from "../gpu/harness.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});
afterAll(() => device?.close());

test("weights/scenes describes at least 90 % of scenes that training never showed: objects, colours and relation", async () => {
  const model = await ClipCap.load(device, await modelFolder("scenes"));
  // Other seeds draw other worlds; whatever the seed, no training scene is in the test split.
  const { images } = sceneDataset({ seed: 20, train: 0, dev: 0, test: 300 });
  const captions = await model.caption(
    images.map(({ scene }) => drawScene(scene)),
    { batch: 50 },
  );
  const right = images.filter(({ scene }, i) => checkCaption(captions[i]![0]!.text, scene).right).length;
  expect(right).toBeGreaterThanOrEqual(270);
  model.close();
}, 120_000);
