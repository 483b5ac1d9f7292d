import { expect, it } from "vitest";
import { layOutParameters } from "../../src/train/parameters.js";

const parameter = (name: string, shape: number[], decay = true) => ({ name, shape, decay });

it("keeps decayed parameters and others in slabs of their own, each at a multiple of 256 bytes", () => {
  const { slabs, places } = layOutParameters(
    [parameter("w", [3, 7]), parameter("b", [65], false), parameter("u", [64]), parameter("g", [1], false)],
    2 ** 20,
  );
  expect(slabs).toEqual([
    { decay: true, bytes: 512 },
    { decay: false, bytes: 768 },
  ]);
  expect(Object.fromEntries(places)).toEqual({
    w: [{ slab: 0, offset: 0, start: 0, end: 3 }],
    b: [{ slab: 1, offset: 0, start: 0, end: 65 }],
    u: [{ slab: 0, offset: 256, start: 0, end: 64 }],
    g: [{ slab: 1, offset: 512, start: 0, end: 1 }],
  });
});

it("splits what is above the limit between rows and fills the gaps with later parameters", () => {
  const { slabs, places } = layOutParameters(
    [parameter("table", [10, 100]), parameter("w", [8, 64]), parameter("small", [16])],
    2100, // 5 rows of 400 bytes; used are 2048
  );
  expect(places.get("table")).toEqual([
    { slab: 0, offset: 0, start: 0, end: 5 },
    { slab: 1, offset: 0, start: 5, end: 10 },
  ]);
  expect(places.get("w")).toEqual([{ slab: 2, offset: 0, start: 0, end: 8 }]);
  expect(places.get("small")).toEqual([{ slab: 3, offset: 0, start: 0, end: 16 }]);
  expect(slabs.map((s) => s.bytes)).toEqual([2048, 2048, 2048, 256]);
});

it("takes GPT-2's token embedding at the default binding limit", () => {
  const { slabs, places } = layOutParameters(
    [parameter("wte.weight", [50257, 768]), parameter("h", [768, 3072])],
    2 ** 27,
  );
  expect(places.get("wte.weight")!.map((p) => [p.start, p.end])).toEqual([
    [0, 43690],
    [43690, 50257],
  ]);
  expect(places.get("h")![0]!.slab).toBe(1); // beside the rest of the table
  expect(slabs).toHaveLength(2);
});

it("refuses a row above the limit, and two parameters of one name", () => {
  expect(() => layOutParameters([parameter("wide", [2, 300])], 1024)).toThrow(
    "one row of wide [2,300] takes 0.0 MiB, above this device's binding limit",
  );
  expect(() => layOutParameters([parameter("a", [1]), parameter("a", [2])], 1024)).toThrow(
    "two parameters are called a",
  );
});
