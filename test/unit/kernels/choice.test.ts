import { expect, it } from "vitest";
import { choose, sizeClass } from "../../../src/kernels/choice.js";
import { chooseTopVariant, TOP_VARIANTS } from "../../../src/kernels/decode/top.js";
import { layerNormClass } from "../../../src/kernels/layernorm/layernorm.js";
import { candidates, chooseVariant, shapeClass, variantName } from "../../../src/kernels/matmul/variant.js";
import { chooseRowGroup } from "../../../src/kernels/rowgroup.js";

const tuned = (choices: Record<string, string>) => ({ tuned: { digest: "of a test", choices } });
const adapter = { vendor: "", architecture: "", device: "", description: "", isCpu: true };

it("takes the named candidate, and the first where none is named or the named one is none", () => {
  const names = ["usual", "other"];
  const of = (device: object) => choose(device, "class", names, String);
  expect(of({})).toBe("usual");
  expect(of(tuned({}))).toBe("usual");
  expect(of(tuned({ class: "other" }))).toBe("other");
  expect(of(tuned({ class: "gone", another: "other" }))).toBe("usual");
});

it("sizes belong to the class of the next power of two", () => {
  expect([1, 2, 3, 4, 5, 64, 65, 768, 50_257].map(sizeClass)).toEqual([1, 2, 4, 4, 8, 64, 128, 1024, 65_536]);
});

it("matmul: few rows take whole workgroups of one dimension, beyond it tiles", () => {
  const shape = { layout: "nt", M: 1, K: 4 } as const;
  expect(chooseVariant({ ...shape, N: 4 * 65_535 }, { lanes: 0 })).toEqual({ family: "few-rows", rows: 1 });
  expect(chooseVariant({ ...shape, N: 4 * 65_536 }, { lanes: 0 }).family).toBe("tile");
});

it("matmul: a table changes the shapes of its classes and no others", () => {
  const shape = { layout: "nt", M: 400, K: 768, N: 3072 } as const;
  const usual = chooseVariant(shape, { lanes: 8 });
  const other = candidates(shape, { lanes: 8 })[1]!;
  const device = { lanes: 8, ...tuned({ [shapeClass(shape, "f32")]: variantName(other) }) };
  expect(other).not.toEqual(usual);
  expect(chooseVariant(shape, device)).toEqual(other);
  expect(chooseVariant({ ...shape, M: 300, K: 1024, N: 4096 }, device)).toEqual(other);
  for (const outside of [{ M: 600 }, { N: 768 }, { layout: "nn" } as const]) {
    expect(chooseVariant({ ...shape, ...outside }, device)).toEqual(
      chooseVariant({ ...shape, ...outside }, { lanes: 8 }),
    );
  }
  expect(chooseVariant(shape, device, "q8")).toEqual(usual);
  // Of the same class, but not made of whole vectors: the lanes cannot compute it.
  expect(chooseVariant({ ...shape, K: 767 }, device)).toEqual({ family: "tile", size: 64 });
});

it("matmul: up to 64 rows a class is exact", () => {
  const classes = [1, 49, 50, 64, 65, 128].map((M) => shapeClass({ layout: "nt", M, K: 768, N: 768 }, "f32"));
  expect(new Set(classes).size).toBe(5);
  expect(classes[4]).toBe(classes[5]);
});

it("candidates: the usual one first, none twice, and the same on every call", () => {
  for (const lanes of [0, 4, 8]) {
    for (const layout of ["nn", "nt", "tn"] as const) {
      for (const [M, K, N] of [
        [1, 64, 64],
        [5, 64, 64],
        [50, 64, 64],
        [50, 63, 65],
        [400, 768, 768],
      ] as const) {
        const shape = { layout, M, K, N };
        const all = candidates(shape, { lanes });
        expect(all[0]).toEqual(chooseVariant(shape, { lanes }));
        expect(new Set(all.map(variantName)).size).toBe(all.length);
        expect(candidates(shape, { lanes })).toEqual(all);
      }
    }
  }
});

it("row kernels and candidates of a step follow the table as well", () => {
  const device = { adapter, lanes: 8, ...tuned({ [layerNormClass(768)]: "shared64", "top 8": "gpu" }) };
  expect(chooseRowGroup(device, layerNormClass(700))).toEqual({ reduce: "shared", size: 64 });
  expect(chooseRowGroup(device, layerNormClass(256))).toEqual({ reduce: "lanes", size: 8 });
  expect(chooseTopVariant(device, 8)).toBe(TOP_VARIANTS.gpu);
  expect(chooseTopVariant(device, 1)).toBe(TOP_VARIANTS.cpu);
});
