import { describe, expect, it } from "vitest";
import { cocoResults, matchIds, pairCaptions, parseCandidates, parseReferences } from "../../src/metrics/captions.js";

const parsed = (map: ReadonlyMap<string, unknown>) => Object.fromEntries(map);

describe("references", () => {
  const expected = { "1": ["a dog", "the dog"], "2": ["a cat"] };

  it.each([
    [
      "COCO captions",
      '{"images": [{"id": 1}], "annotations": [{"image_id": 1, "id": 7, "caption": "a dog"}, {"image_id": 2, "caption": "a cat"}, {"image_id": 1, "caption": "the dog"}]}',
    ],
    ["an object", '{"1": ["a dog", "the dog"], "2": "a cat"}'],
    ["JSON lines", '\uFEFF{"file": "1", "captions": ["a dog", "the dog"]}\r\n\n{"id": 2, "caption": "a cat"}\n'],
    [
      "an array",
      '[{"id": 1, "caption": "a dog"}, {"id": "1", "caption": "the dog"}, {"file": "2", "captions": ["a cat"]}]',
    ],
  ])("%s", (_, text) => expect(parsed(parseReferences("r.json", text))).toEqual(expected));

  it("one line of JSON lines is an image; an image may be called id", () => {
    expect(parsed(parseReferences("r", '{"id": 1, "captions": ["a"]}'))).toEqual({ "1": ["a"] });
    expect(parsed(parseReferences("r", '{"id": ["a"], "__proto__": ["b"]}'))).toEqual(
      Object.fromEntries([
        ["id", ["a"]],
        ["__proto__", ["b"]],
      ]),
    );
  });

  it("more captions of one image than a call takes arguments", () => {
    const many = Array.from({ length: 200_000 }, () => "a");
    expect(parseReferences("r", JSON.stringify({ "1": many })).get("1")).toHaveLength(200_000);
  });
});

describe("candidates", () => {
  it.each([
    ["COCO results", '[{"image_id": 1, "caption": "a dog"}, {"image_id": 2, "caption": ""}]'],
    ["an object", '{"1": "a dog", "2": ""}'],
    ["lists of one", '{"1": ["a dog"], "2": [""]}'],
    ["JSON lines", '{"file": "1", "caption": "a dog", "logprob": -1}\n{"file": "2", "caption": ""}'],
  ])("%s", (_, text) => expect(parsed(parseCandidates("c.json", text))).toEqual({ "1": "a dog", "2": "" }));

  it("are in one order whatever the format: JSON gives whole numbers as keys first, and sorted", () => {
    const captions = [
      ["b", "w"],
      ["10", "y"],
      ["9", "x"],
    ] as const;
    for (const value of [Object.fromEntries(captions), captions.map(([id, caption]) => ({ id, caption }))]) {
      expect([...parseCandidates("c.json", JSON.stringify(value)).keys()]).toEqual(["10", "9", "b"]);
    }
  });

  it("an image in a folder is found by its name, where that is the only one", () => {
    const known = new Set(["x.jpg", "y.jpg", "cap/z.jpg"]);
    const matched = (...ids: string[]) => [...matchIds(new Map(ids.map((id) => [id, ""])), known).keys()];
    expect(matched("cap/none.jpg", "cap/x.jpg", "cap/z.jpg")).toEqual(["cap/none.jpg", "cap/z.jpg", "x.jpg"]);
    expect(matched("a/x.jpg", "b/x.jpg", "a/y.jpg")).toEqual(["a/x.jpg", "b/x.jpg", "y.jpg"]);
    expect(matched("x.jpg", "b/x.jpg")).toEqual(["b/x.jpg", "x.jpg"]);
  });

  it("are read again as they were written", () => {
    const captions = new Map([
      ["391895", 'a "dog"\n'],
      ["007", "a cat"],
      ["a.jpg", "日本"],
    ]);
    const text = cocoResults(captions);
    expect(JSON.parse(text)[0]).toEqual({ image_id: 391895, caption: 'a "dog"\n' });
    expect(parseCandidates("results.json", text)).toEqual(captions);
  });
});

describe("what is not as it should be", () => {
  it.each([
    ["", "c.json: it is empty; give a file of captions, --help of clipcap metrics shows the formats"],
    ["no", "c.json: it is not valid JSON"],
    ['[{"image_id": 1', "c.json: it is not valid JSON"],
    ['{"id": 1, "caption": "a"}\n{"id": 2,', "c.json, line 2: it is not valid JSON"],
    ["no", "; write the file again, --help of clipcap metrics shows the formats"],
    ["3", "c.json: it holds 3 instead of captions"],
    ["[]", "c.json: there are no captions in it; give at least one"],
    ["{}", "c.json: there are no captions in it; give at least one"],
    ['[{"caption": "a"}]', 'c.json, entry 1: expected {"image_id": …, "caption": "…"}, not an object without an id'],
    ["[[1]]", 'c.json, entry 1: expected {"image_id": …, "caption": "…"}, not a list'],
    [`{"1": ${"[".repeat(20_000)}${"]".repeat(20_000)}}`, 'c.json, image "1": a caption must be a text, not a list'],
    [`${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`, 'c.json, image "a": a caption must be a text, not an object'],
    ['[{"image_id": 1}]', "c.json, entry 1: a caption must be a text, not nothing"],
    ['{"1": 5}', 'c.json, image "1": a caption must be a text, not 5'],
    [
      '[{"image_id": 1, "caption": "a"}, {"image_id": "1", "caption": "b"}]',
      'c.json, entry 2: image "1" has a caption already',
    ],
    ['{"1": ["a", "b"]}', 'c.json, image "1": image "1" has 2 captions; keep one'],
  ])("%j", (text, message) => expect(() => parseCandidates("c.json", text)).toThrow(message));

  it("a caption longer than the limit; one as long is scored", () => {
    expect(parseCandidates("c", JSON.stringify({ "1": "a".repeat(100_000) })).size).toBe(1);
    expect(() => parseCandidates("c", JSON.stringify({ "1": "a".repeat(100_001) }))).toThrow(
      "a caption has 100001 characters, more than the limit of 100000; shorten it",
    );
  });
});

describe("pairs", () => {
  const names = { references: "r.json", candidates: "c.json" };
  const references = new Map([
    ["3", []],
    ["1", ["a"]],
    ["2", ["b", "c"]],
  ]);

  it("are in the order of the candidates; other references are left out", () => {
    expect(pairCaptions(references, new Map([["2", "x"]]), names)).toEqual([
      { candidate: "x", references: ["b", "c"] },
    ]);
  });

  it("a candidate without references is named, and what ids look like", () => {
    const candidates = new Map([
      ["1", "x"],
      ["a.jpg", "y"],
      ["3", "z"],
    ]);
    expect(() => pairCaptions(references, candidates, names)).toThrow(
      'r.json: there are no references for image "a.jpg" of c.json and 1 more (its ids are such as "1"); give references of all images, by the same ids',
    );
    for (const none of [new Map(), new Map([["1", []]])]) {
      expect(() => pairCaptions(none, candidates, names)).toThrow(
        'for image "1" of c.json and 2 more (it has none at all); give references',
      );
    }
  });
});
