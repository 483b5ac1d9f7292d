import { describe, expect, it } from "vitest";
import { findings, type Measured } from "../../../scripts/reproduce/findings.js";
import { measured, pair } from "./made-up.js";

const verdicts = (m: Measured) => findings(m).map(({ verdict }) => verdict);
const sides = (m: Measured) => findings(m).map(({ evidence }) => evidence.map(({ side }) => side));

describe("what the original found", () => {
  it("holds where all numbers are as it says", () => {
    expect(verdicts(measured(1))).toEqual(["holds", "holds", "holds"]);
    expect(sides(measured(1)).flat()).toEqual(Array(6).fill("for"));
  });

  it("does not hold where all are the other way round", () => {
    expect(verdicts(measured(-1))).toEqual(["does not hold", "does not hold", "does not hold"]);
    expect(sides(measured(-1)).flat()).toEqual(Array(6).fill("against"));
  });

  it("equal numbers decide nothing", () => {
    expect(verdicts(measured(0))).toEqual(["is not decided", "is not decided", "is not decided"]);
  });

  it("a difference that chance makes is for neither side, however large", () => {
    const m = { ...measured(1), bleu4: pair(0.1, 0.9, 0.05), ciderD: pair(0.1, 0.9, 0.049) };
    expect(sides(m)[2]).toEqual(["neither", "for"]);
    expect(verdicts(m)[2]).toBe("is not decided");
    const contradicted = { ...m, ciderD: pair(0.9, 0.1, 0.002) };
    expect(verdicts(contradicted)[2]).toBe("does not hold");
  });

  it("evidence on both sides decides nothing", () => {
    const m = { ...measured(1), bestValidation: { transformer: 2, mlp: 2.1 } };
    expect(sides(m)[1]).toEqual(["for", "against"]);
    expect(verdicts(m)).toEqual(["holds", "is not decided", "holds"]);
  });

  it("numbers that are none support nothing", () => {
    const m = { ...measured(1), firstValidation: { transformer: Number.NaN, mlp: 2 } };
    expect(verdicts(m)[0]).toBe("is not decided");
  });
});
