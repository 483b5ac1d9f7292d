import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { staleness } from "../../scripts/mutate.js";
import { MUTATIONS } from "../../scripts/mutations.js";

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");

it("every mutation fits the source, and every kernel of gradients has one", () => {
  expect(staleness(MUTATIONS, read)).toEqual([]);
});

it("says which words are not there exactly once, and which kernel is left out", () => {
  const some = MUTATIONS.filter(({ kernel }) => !kernel.startsWith("dropout"));
  expect(staleness(some, read)).toEqual(["dropout: no mutation"]);
  const [first] = MUTATIONS;
  const twice = staleness([first!], () => first!.from + first!.from)[0];
  expect(twice).toBe(`activation.backward: "${first!.from}" stands 2 times in ${first!.file}, expected once`);
});
