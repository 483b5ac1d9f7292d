import { describe, expect, it } from "vitest";
import { beamTree } from "../../../src/cli/explain/explanation.js";
import { explanationPage } from "../../../src/cli/explain/node-page.js";
import { percent, tokenLabel, tokenMarkup } from "../../../src/cli/explain/parts.js";
import type { RgbImage } from "../../../src/data/image/rgb.js";
import type { Tokenizer } from "../../../src/data/tokenizer.js";
import { HOSTILE } from "./explanation.js";

const picture: RgbImage = { width: 8, height: 8, data: new Uint8Array(192).fill(90) };

describe("the page", () => {
  it("escapes every text and holds every number", async () => {
    const page = await explanationPage(HOSTILE, picture, picture);
    expect(page.match(/<script/g)).toHaveLength(2); // data, its own script
    expect(page).not.toContain("<img src=x");
    expect(page.replace(/\s+/g, " ")).toContain("2 × 2 patches of 4 × 4 pixels");
    expect(page).toContain('<li class="chosen" style="--a: 0.6">');
    expect(page).toContain("<b>[2, 99]</b>");
    expect(page).toContain("read back from three runs");
  });

  it("shows a chosen token behind the alternatives that were more probable", async () => {
    const page = await explanationPage(HOSTILE, picture, picture);
    const last = page.slice(page.indexOf('id="word-2"'), page.indexOf("places that choose"));
    expect(last.indexOf("90 %")).toBeLessThan(last.indexOf('class="chosen"'));
    expect(last).toContain("<span>↵</span>");
  });

  it("has no search where there was none", async () => {
    const page = await explanationPage({ ...HOSTILE, beams: undefined }, picture, picture);
    expect(page).not.toContain("The search");
    expect(page).toContain("read back from two runs");
    expect(page).toContain("Greedy decoding takes the most probable one");
  });
});

describe("beamTree", () => {
  const letters = { vocabSize: 26, decode: ([id]: number[]) => String.fromCharCode(97 + id!) } as unknown as Tokenizer;
  const step = (source: number[], next: number[], score: number[], length: number[], stopped: number[]) => ({
    source: Uint32Array.from(source),
    next: Uint32Array.from(next),
    score: Float32Array.from(score),
    length: Uint32Array.from(length),
    stopped: Uint32Array.from(stopped),
  });

  it("marks what leads on, what wins and what waits", () => {
    const steps = [
      step([0, 0, 0], [0, 1, 2], [-1, -2, -3], [1, 1, 1], [0, 0, 0]),
      step([1, 0, 1], [3, 4, 5], [-2.5, -3, -4], [2, 2, 2], [1, 0, 0]),
      step([0, 1, 1], [0, 30, 7], [-2.5, -4.5, -6], [2, 3, 3], [1, 1, 1]), // 30 has no name
    ];
    const tree = beamTree(letters, steps, []);
    expect(tree.steps.map((beams) => beams.map(({ text }) => text).join(" "))).toEqual(["a b c", "d e f", "a #30 h"]);
    expect(tree.steps.map((beams) => beams.map(({ survives }) => survives))).toEqual([
      [true, true, false],
      [true, true, false],
      [true, true, true],
    ]);
    expect(tree.steps.map((beams) => beams.findIndex(({ wins }) => wins))).toEqual([1, 0, 0]);
    expect(tree.steps.flat().filter(({ waits }) => waits)).toEqual([tree.steps[2]![0]]);
  });
});

it.each([
  [0, "0 %"],
  [0.0004, "< 0.1 %"],
  [0.0123, "1.2 %"],
  [0.0994, "9.9 %"],
  [0.0996, "10 %"],
  [1, "100 %"],
])("%d as %s", (share, text) => {
  expect(percent(share)).toBe(text);
});

it("tokens: spaces are seen, long ones are cut between characters", () => {
  expect(tokenMarkup(" <b").markup).toBe('<i class="space">␣</i>&#60;b');
  expect(tokenMarkup("b").markup).toBe("b");
  expect(tokenLabel(" 🐕🐕🐕", 2)).toBe("🐕…");
  expect(tokenLabel(" dog", 3)).toBe("dog");
});
