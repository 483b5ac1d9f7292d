import { describe, expect, it } from "vitest";
import { chartsOf, columnsOf } from "../../../src/train/report/charts.js";
import { parseMetrics, parseSamples } from "../../../src/train/report/run.js";

const lines = (...records: readonly object[]) => records.map((record) => `${JSON.stringify(record)}\n`).join("");
const train = (step: number, fields: object = {}) => ({ kind: "train", step, loss: 10 / step, ...fields });

describe("parseMetrics", () => {
  it("leaves out half a line at the end, and the last complete one counts", () => {
    const { train: records, brokenLines } = parseMetrics(`${lines(train(1), train(2))}{"kind":"train","step":3,"lo`);
    expect(records).toEqual([
      { step: 1, loss: 10 },
      { step: 2, loss: 5 },
    ]);
    expect(brokenLines).toBe(1);
  });

  it.each(["null", "7", '"text"', "[]", "{}", '{"kind":"train","step":"1"}', '{"kind":"train","step":-1}'])(
    "counts %s as broken",
    (line) => {
      expect(parseMetrics(`${line}\n${lines(train(5))}`)).toMatchObject({ train: [{ step: 5 }], brokenLines: 1 });
    },
  );

  it("keeps numbers only, under harmless names", () => {
    const text = '{"kind":"dev","step":1,"loss":2,"right":0.5,"note":"x","__proto__":7,"a<b":1,"big":1e999}';
    const [record] = parseMetrics(text).dev;
    expect(Object.entries(record!)).toEqual([
      ["step", 1],
      ["loss", 2],
      ["right", 0.5],
    ]);
  });

  it("lets what a resumed run repeats replace what was there, and its clock go on", () => {
    const before = [train(1, { seconds: 10 }), train(2, { seconds: 20 }), train(3, { seconds: 30 })];
    const resumed = [train(2, { seconds: 4, loss: 7 }), train(3, { seconds: 9 })];
    const { train: records } = parseMetrics(lines(...before, ...resumed));
    expect(records.map(({ step, loss, seconds }) => [step, loss, seconds])).toEqual([
      [1, 10, 10],
      [2, 7, 30],
      [3, 10 / 3, 35],
    ]);
  });

  it("reads events", () => {
    expect(
      parseMetrics(lines({ kind: "event", step: 3, text: "best checkpoint" }, { kind: "event", step: 4 })),
    ).toEqual({
      train: [],
      dev: [],
      events: [{ step: 3, text: "best checkpoint" }],
      brokenLines: 0,
    });
  });
});

describe("parseSamples", () => {
  it("collects captions by picture; those of repeated steps count", () => {
    const sample = (step: number, id: string, caption: string) => ({ step, id, caption, references: ["R", 3] });
    const pictures = parseSamples(
      lines(sample(1, "b", "B1"), sample(1, "a", "A1"), sample(2, "b", "B2"), sample(2, "b", "B3")),
    );
    expect(pictures.map(({ id, captions }) => [id, captions.map(({ caption }) => caption)])).toEqual([
      ["b", ["B1", "B3"]],
      ["a", ["A1"]],
    ]);
    expect(pictures[0]!.references).toEqual(["R"]);
  });

  it("takes thumbnails from the run's own folder only", () => {
    const of = (picture: unknown) => parseSamples(lines({ step: 1, id: "a", caption: "A", picture }))[0]!.picture;
    expect(of("samples/3.png")).toBe("samples/3.png");
    for (const path of ["../secret.png", "samples/../../secret.png", "/etc/passwd", "samples/x.svg", 3]) {
      expect(of(path)).toBeUndefined();
    }
  });

  it("shortens captions of any length without cutting a character in half", () => {
    const [picture] = parseSamples(lines({ step: 1, id: "a", caption: "🐕".repeat(100_000) }));
    const { caption } = picture!.captions[0]!;
    expect(caption).toBe(`${"🐕".repeat(299)}…`);
  });
});

describe("charts", () => {
  const curves = parseMetrics(
    lines(train(1, { lr: 1, skipped: 0, epoch: 1 }), { kind: "dev", step: 1, recall_at_10: 0.5 }),
  );

  it("shows every measurement, the model's first", () => {
    expect(chartsOf([curves]).map(({ title }) => title)).toEqual(["Loss", "Recall at 10", "Learning rate"]);
    const skipping = parseMetrics(lines(train(1, { skipped: 2 })));
    expect(chartsOf([skipping]).map(({ field }) => field)).toEqual(["loss", "skipped"]);
  });

  it("thins long curves to means at the last place of each group", () => {
    const records = parseMetrics(lines(...[1, 2, 3, 4, 5].map((step) => train(step, { loss: step ** 2 })))).train;
    expect(columnsOf(records, 3)).toEqual({ step: [2, 4, 5], loss: [2.5, 12.5, 25] });
    expect(columnsOf(records, 5).loss).toEqual([1, 4, 9, 16, 25]);
    expect(columnsOf([], 5)).toEqual({});
  });

  it("leaves a gap where a record lacks a field", () => {
    const records = parseMetrics(lines(train(1), train(2, { grad_norm: 3 }))).train;
    expect(columnsOf(records, 2).grad_norm).toEqual([null, 3]);
  });
});
