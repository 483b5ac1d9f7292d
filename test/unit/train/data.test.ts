import { expect, it } from "vitest";
import { DRAWING_VERSION } from "../../../src/data/scenes/dataset.js";
import { parseTrainConfig } from "../../../src/train/config.js";
import { openTrainingData } from "../../../src/train/node-data.js";

it("the digest of scenes names all that they depend on, how they are drawn as well", async () => {
  const networks = { clip: "a", gpt2: "b" };
  const data = { source: "scenes", scenes: { train: 5, dev: 2, size: 32 } };
  const config = parseTrainConfig({ seed: 7, networks, data }, "config.json");
  const { digest, train, dev } = await openTrainingData(config);
  expect(digest).toBe(`scenes ${DRAWING_VERSION} 7 5 2 32`);
  expect([train.length, dev.length]).toEqual([5, 2]);
});
