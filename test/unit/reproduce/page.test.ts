import { describe, expect, it } from "vitest";
import { lossChart } from "../../../scripts/reproduce/chart.js";
import { page, sampleTable } from "../../../scripts/reproduce/page.js";
import { result } from "./made-up.js";

describe("the page of results", () => {
  it("says what the numbers say, whichever way they go", () => {
    const claims = (sense: -1 | 0 | 1) => page([result(sense)]).match(/^\*\*The .*\*\*$/gm);
    expect(claims(1)).toEqual([
      "**The loss of the transformer mapper with frozen GPT-2 falls faster: holds.**",
      "**The loss of the MLP mapper with fine-tuned GPT-2 ends lower: holds.**",
      "**The MLP mapper with fine-tuned GPT-2 scores higher: holds.**",
    ]);
    expect(claims(-1)?.map((line) => /: (.*)\.\*\*/.exec(line)?.[1])).toEqual(Array(3).fill("does not hold"));
    expect(claims(0)?.map((line) => /: (.*)\.\*\*/.exec(line)?.[1])).toEqual(Array(3).fill("is not decided"));
    expect(page([result(-1)])).toContain(
      "- BLEU-4, all test pictures: 0.150 MLP, fine-tuned; 0.200 transformer, frozen; MLP minus transformer −0.050 " +
        "[−0.060, −0.040], paired bootstrap p = 0.002: against it.",
    );
    expect(page([result(1)])).toContain(
      "- validation loss, lowest: 2.075 MLP, fine-tuned; 2.200 transformer, frozen: for it.",
    );
  });

  it("gives the conditions and the numbers of every variant", () => {
    const text = page([result(1)]);
    for (const fact of ["an adapter", "0badcafe0bad", "Seed 1", "2 epochs of 6,000 pictures", "193", "1,000 test"]) {
      expect(text, fact).toContain(fact);
    }
    expect(text).toContain("| MLP, GPT-2 fine-tuned | 3.61 M | 14.00 M | 7 min | 2.000 | 2 |");
    expect(text).toContain(
      "| transformer, GPT-2 frozen | 0.200 [0.100, 0.300] | 0.200 [0.100, 0.300] | 0.500 [0.000, 0.600] |",
    );
  });

  it("keeps captions of people and photos to itself where the data's terms ask for it", () => {
    const text = page([result(1)]);
    expect(text).not.toContain("secret");
    expect(text).toContain("| a\\|b.jpg | A dog \\| a cat. | A \\<b\\>dog\\</b\\> runs. |");
    expect(sampleTable(result(1), "all")).toContain("A secret \\*caption\\*.");
    expect(page([result(1, { name: "scenes", confidential: false })])).toContain(
      "![a\\|b.jpg](results/scene-1.png) | A",
    );
  });

  it("a dry run is marked", () => {
    expect(page([result(1)])).not.toContain("Made-up");
    expect(page([result(1, { madeUp: true })])).toContain("Made-up results; no number here means anything.");
  });
});

describe("the chart", () => {
  it("places every point of every curve inside the panels, and is the same each time", () => {
    const svg = lossChart(result(1));
    expect(svg).toBe(lossChart(result(-1)));
    const curves = [...svg.matchAll(/<polyline class="(tuned|frozen)" stroke="#\w+" points="([^"]+)"/g)];
    expect(curves.map(([, kind]) => kind)).toEqual(["tuned", "frozen", "tuned", "frozen"]);
    // Losses from 2 to 3.25 make an axis from 2 to 3.4 or so; epochs go from 0 to 2 over 400 pixels.
    for (const [, , points] of curves) {
      const [first, second] = points!.split(" ").map((point) => point.split(",").map(Number));
      expect([first![0], second![0]]).toEqual([200, 400]);
      expect(first![1]).toBeLessThan(second![1]!);
      expect(first![1]).toBeGreaterThanOrEqual(0);
      expect(second![1]).toBeLessThanOrEqual(280);
    }
    expect(svg).toContain("prefers-color-scheme: dark");
  });
});
