import { expect, it } from "vitest";
import { cocoNames } from "../../../src/eval/node-outputs.js";

it.each([
  ["COCO_val2014_000000391895.jpg", "391895"],
  ["COCO_train2014_000000000009.jpg", "9"],
  ["000000391895.jpg", "391895"],
  ["000000391895", "391895"],
  ["391895.jpg", "391895.jpg"],
  ["1000268201_693b08cb0e.jpg", "1000268201_693b08cb0e.jpg"],
  ["0000003918951.jpg", "0000003918951.jpg"],
])("COCO's tools know %s as %s", (id, expected) => {
  expect([...cocoNames([id, "a.jpg"])]).toEqual([
    [id, expected],
    ["a.jpg", "a.jpg"],
  ]);
});

it("a number that two images share names neither of them", () => {
  const twins = ["COCO_val2014_000000000042.jpg", "000000000042.jpg"];
  expect([...cocoNames([...twins, "000000000043.jpg"]).values()]).toEqual([...twins, "43"]);
});
