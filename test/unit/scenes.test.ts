import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { captionWords, checkCaption, sceneCaptions } from "../../src/data/scenes/captions.js";
import { sceneDataset, splitOf } from "../../src/data/scenes/dataset.js";
import { drawScene } from "../../src/data/scenes/draw.js";
import {
  BACKGROUNDS,
  COLOURS,
  KINDS,
  makeScene,
  type Scene,
  type SceneObject,
  SIDE,
  SIZES,
  twins,
  UNITS,
} from "../../src/data/scenes/scene.js";
import { sceneTokenizer } from "../../src/data/scenes/tokenizer.js";
import { createTokenizer } from "../../src/data/tokenizer.js";
import { pinnedPixels } from "./scenes.pixels.js";

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const scenes = fc.tuple(uint32, uint32).map(([seed, index]) => makeScene(seed, index));
const run = { seed: 1, numRuns: 500 };
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");
const half = ({ size }: SceneObject) => SIDE[size] / 2;

/** A small red cat left of a big blue car, in the snow. */
const scene: Scene = {
  background: "snow",
  objects: [
    { kind: "cat", colour: "red", size: "small", x: 14, y: 40 },
    { kind: "car", colour: "blue", size: "big", x: 46, y: 42 },
  ],
  relation: "left of",
  detail: 7,
};

describe("makeScene", () => {
  test("is pinned", () => {
    expect(makeScene(1, 0)).toEqual({
      background: "night",
      objects: [
        { kind: "balloon", colour: "blue", size: "big", x: 16, y: 32 },
        { kind: "duck", colour: "green", size: "big", x: 48, y: 32 },
      ],
      relation: "left of",
      detail: 2874193826,
    });
  });

  test("objects lie inside, apart, and clearly in their relation", () => {
    fc.assert(
      fc.property(scenes, ({ objects: [a, b], relation }) => {
        for (const o of [a, b]) {
          expect(Math.min(o.x, o.y) - half(o)).toBeGreaterThanOrEqual(2);
          expect(Math.max(o.x, o.y) + half(o)).toBeLessThanOrEqual(62);
          expect(o.y + half(o)).toBeGreaterThanOrEqual(22);
        }
        const along = relation === "left of" ? b.x - a.x : b.y - a.y;
        expect(along).toBeGreaterThanOrEqual(half(a) + half(b) + 4);
        for (const o of [a, b]) {
          expect(Math.abs((relation === "left of" ? o.y : o.x) - UNITS / 2)).toBeLessThanOrEqual(6);
        }
        expect(a.kind === b.kind && a.colour === b.colour).toBe(false);
      }),
      { seed: 1, numRuns: 5000 },
    );
  });

  test("everything occurs equally often", () => {
    const counts = new Map<string, number>();
    const n = 20_000;
    for (let i = 0; i < n; i++) {
      const { background, relation, objects } = makeScene(3, i);
      const seen = [background, relation, ...objects.flatMap((o, j) => [o.kind, o.colour, o.size].map((v) => j + v))];
      for (const value of seen) counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    const share = (list: readonly string[], prefix = "") =>
      list.map((v) => (counts.get(prefix + v)! * list.length) / n);
    for (const prefix of ["0", "1"]) {
      for (const list of [KINDS, COLOURS, SIZES]) {
        for (const s of share(list, prefix)) expect(Math.abs(s - 1)).toBeLessThan(0.08);
      }
    }
    for (const list of [BACKGROUNDS, ["left of", "above"]]) {
      for (const s of share(list)) expect(Math.abs(s - 1)).toBeLessThan(0.08);
    }
  });

  test("twins show the same objects in any other arrangement", () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i += 2) {
      expect(twins(i)).toBe(twins(i + 1));
      const [one, other] = [makeScene(5, i), makeScene(5, i + 1)].map(({ relation, objects }) => {
        const names = objects.map(({ colour, kind }) => `${colour} ${kind}`);
        return { relation, names, ordered: names.toSorted() };
      });
      expect(other!.ordered).toEqual(one!.ordered);
      const swapped = one!.names[0] !== other!.names[0];
      const change = `${one!.relation}, ${other!.relation}${swapped ? ", swapped" : ""}`;
      counts.set(change, (counts.get(change) ?? 0) + 1);
    }
    expect(counts.has("left of, left of")).toBe(false);
    expect(counts.has("above, above")).toBe(false);
    expect(counts.size).toBe(6);
    for (const n of counts.values()) expect(Math.abs(n - 500)).toBeLessThan(80);
  });

  test("other seeds and numbers give other scenes", () => {
    const all = new Set<string>();
    for (let i = 0; i < 3000; i++) all.add(JSON.stringify(makeScene(i % 3, Math.floor(i / 3))));
    expect(all.size).toBe(3000);
  });
});

describe("drawScene", () => {
  // Any changed bit changes these; DRAWING_VERSION of the data set must then be raised.
  test("pixels are pinned", () => {
    expect(pinnedPixels().map(sha256)).toEqual([
      "b8921d487a4ec9396eb138149185229628d77b5bf5decd8b7bff88cd4a6489a9",
      "c6304d5e735db73bf4e95b05fe07295128478ab274f7247b3f710b8d27d4f127",
      "a5ee9dfc17af87736529edb381811af4a498db66dd7215d9da8493fb0bee3b06",
    ]);
  });

  test("draws the objects where the scene says, and nothing of them elsewhere", () => {
    fc.assert(
      fc.property(scenes, (s) => {
        const moved = { ...s, objects: [{ ...s.objects[0], kind: "car", colour: "green" }, s.objects[1]] } as Scene;
        const [one, two] = [drawScene(s), drawScene(moved)];
        const { x, y } = s.objects[0];
        const reach = half(s.objects[0]) + 2;
        let changed = 0;
        for (let i = 0; i < one.data.length; i++) {
          if (one.data[i] === two.data[i]) continue;
          const [px, py] = [Math.floor(i / 3) % 64, Math.floor(i / 192)];
          if (Math.abs(px + 0.5 - x) > reach || Math.abs(py + 0.5 - y) > reach) throw new Error(`pixel ${px} ${py}`);
          changed++;
        }
        const same = s.objects[0].kind === "car" && s.objects[0].colour === "green";
        if (!same) expect(changed).toBeGreaterThan(100);
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  test.each([0, -1, 0.5, 4097, Number.NaN])("refuses the size %d", (size) => {
    expect(() => drawScene(scene, size)).toThrow(`a scene of ${size} pixels a side cannot be drawn; give 1 to 4096.`);
  });

  test("a picture of another size is the same picture", () => {
    const [small, large] = [drawScene(scene), drawScene(scene, 256)];
    let difference = 0;
    for (let i = 0; i < small.data.length; i++) {
      const [c, x, y] = [i % 3, Math.floor(i / 3) % 64, Math.floor(i / 192)];
      let sum = 0;
      for (let k = 0; k < 16; k++) sum += large.data[3 * (256 * (4 * y + (k >> 2)) + 4 * x + (k & 3)) + c]!;
      difference += Math.abs(sum / 16 - small.data[i]!);
    }
    expect(difference / small.data.length).toBeLessThan(2);
  });
});

describe("captions", () => {
  test("five, different, true, short, and sentences", () => {
    fc.assert(
      fc.property(scenes, (s) => {
        const captions = sceneCaptions(s);
        expect(new Set(captions).size).toBe(5);
        for (const caption of captions) {
          expect(caption).toMatch(/^[A-Z][a-z ,]+\.$/);
          expect(caption.split(" ").length).toBeLessThanOrEqual(16);
          expect(checkCaption(caption, s)).toEqual({ objects: true, colours: true, relation: true, right: true });
        }
      }),
      run,
    );
  });

  test("are right for another scene only if it shows the same", () => {
    fc.assert(
      fc.property(scenes, scenes, (s, other) => {
        const truth = ({ objects, relation }: Scene) =>
          JSON.stringify([relation, ...objects.map((o) => [o.kind, o.colour])]);
        if (truth(s) === truth(other)) return;
        for (const caption of sceneCaptions(s)) expect(checkCaption(caption, other).right).toBe(false);
      }),
      run,
    );
  });

  test("with the two objects exchanged, or turned to the other relation, none is right", () => {
    fc.assert(
      fc.property(scenes, (s) => {
        const [a, b] = s.objects;
        const swapped: Scene = { ...s, objects: [b, a] };
        const turned: Scene = { ...s, relation: s.relation === "above" ? "left of" : "above" };
        for (const caption of sceneCaptions(s)) {
          expect(checkCaption(caption, swapped).right).toBe(false);
          expect(checkCaption(caption, turned)).toEqual({
            objects: true,
            colours: true,
            relation: false,
            right: false,
          });
        }
      }),
      run,
    );
  });

  test("any word exchanged, left out or doubled makes them wrong, but for words of one meaning", () => {
    const same = [
      ["a", "the"],
      ["an", "the"],
      ["to", "on"],
    ].map(String);
    const words = captionWords();
    fc.assert(
      fc.property(scenes, fc.nat(4), fc.nat(), fc.nat(), (s, which, at, by) => {
        const caption = sceneCaptions(s)[which]!;
        const parts = caption.slice(0, -1).split(" ");
        const i = at % parts.length;
        const comma = parts[i]!.endsWith(",") ? "," : "";
        const old = parts[i]!.replace(",", "").toLowerCase();
        const word = words[by % words.length]!;
        const judge = (list: readonly string[]) => checkCaption(`${list.join(" ")}.`, s).right;
        if (word !== old && !same.includes(String([old, word]))) {
          expect([judge(parts.with(i, word + comma)), parts, word]).toEqual([false, parts, word]);
        }
        expect(judge(parts.toSpliced(i, 0, parts[i]!))).toBe(false);
        if (!(SIZES as readonly string[]).includes(old)) expect(judge(parts.toSpliced(i, 1))).toBe(false);
      }),
      { seed: 1, numRuns: 5000 },
    );
  });

  test.each([
    "A red cat is left of a blue car.",
    "a blue car is to the right of the red cat",
    "There is a blue car on the right of a small red cat in the snow.",
    "The red cat has a blue car on its right.",
    "In winter, a big blue car has a red cat to its left.",
    "To the right of a red cat is a blue car.",
    "The picture shows a blue car right of a red cat in winter.",
  ])("right: %s", (caption) => {
    expect(checkCaption(caption, scene)).toEqual({ objects: true, colours: true, relation: true, right: true });
  });

  test.each([
    ["A red cat is right of a blue car.", "objects colours"],
    ["A red cat is above a blue car.", "objects colours"],
    ["A blue cat is left of a red car.", "objects relation"],
    ["A red car is left of a blue cat.", "objects"],
    ["A red cat is left of a blue boat.", ""],
    ["A red cat is left of a red cat.", ""],
    ["A big red cat is left of a blue car.", "objects colours relation"],
    ["A red cat is left of a blue car at the beach.", "objects colours relation"],
    ["At night, a red cat is left of a blue car in the snow.", "objects colours relation"],
    ["A red cat.", ""],
    ["A red cat and a blue car.", ""],
    ["A cat is left of a car.", ""],
    ["An red cat is left of a blue car.", ""],
    ["A red cat is left of a blue car. A red cat is left of a blue car.", ""],
    ["A red cat is left of a blue car a", ""],
    ["", ""],
  ])("wrong: %s (true: %s)", (caption, parts) => {
    const verdict = checkCaption(caption, scene);
    expect(Object.entries(verdict).flatMap(([part, is]) => (is ? [part] : []))).toEqual(
      parts.split(" ").filter(Boolean),
    );
  });

  test("two objects of one kind are told apart by their colours", () => {
    const [a, b] = scene.objects;
    const cats: Scene = { ...scene, objects: [a, { ...b, kind: "cat" }] };
    expect(checkCaption("A blue cat is right of a red cat.", cats).right).toBe(true);
    const wrong = { objects: true, colours: true, relation: false, right: false };
    expect(checkCaption("A blue cat is left of a red cat.", cats)).toEqual(wrong);
  });
});

describe("sceneTokenizer", () => {
  const { tokenizer, config } = sceneTokenizer(32);
  const bpe = createTokenizer(tokenizer, config);

  test("has 448 tokens, 7 x 64, for kernels that work in tiles", () => {
    expect([bpe.vocabSize, bpe.idOf("<|endoftext|>"), bpe.idOf("no such token")]).toEqual([448, 0, undefined]);
  });

  test("a caption comes back, and each of its words is one token", () => {
    fc.assert(
      fc.property(scenes, (s) => {
        for (const caption of sceneCaptions(s)) {
          const ids = bpe.encode(caption);
          expect(bpe.decode(ids)).toBe(caption);
          expect(ids.map((id) => bpe.decode([id]))).toEqual(caption.match(/ ?[A-Za-z]+|[.,]/g));
          expect(bpe.encodeClip(caption, 20)).toEqual([0, ...ids, ...new Array(19 - ids.length).fill(0)]);
        }
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  test("takes any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), (text) => {
        expect(bpe.decode(bpe.encode(text))).toBe(text);
      }),
      { seed: 1, numRuns: 300 },
    );
  });
});

describe("sceneDataset", () => {
  const set = sceneDataset({ seed: 5, train: 300, dev: 40, test: 60 });

  test("has the numbers asked for, with pictures, captions and truth", async () => {
    const count = (split: string) => set.images.filter((image) => image.split === split).length;
    expect([count("train"), count("dev"), count("test"), set.images.length]).toEqual([300, 40, 60, 400]);
    expect(new Set(set.images.map(({ id }) => id)).size).toBe(400);
    const image = set.images[17]!;
    expect(image.captions).toEqual(sceneCaptions(image.scene));
    expect(await image.decode()).toEqual(drawScene(image.scene));
    expect(await image.stamp()).toBe("3-5-64");
    expect(set.problems.counts).toEqual({ row: 0, caption: 0, image: 0, picture: 0 });
  });

  test("what a scene shows decides its split, details do not", () => {
    fc.assert(
      fc.property(scenes, uint32, (s, detail) => {
        expect(splitOf({ ...s, detail })).toBe(splitOf(s));
      }),
      run,
    );
    const splits = Array.from({ length: 10_000 }, (_, i) => splitOf(makeScene(2, i)));
    for (const held of ["dev", "test"]) {
      expect(Math.abs(splits.filter((split) => split === held).length - 1000)).toBeLessThan(100);
    }
  });

  test("more scenes and other seeds take nothing from another split", () => {
    const more = sceneDataset({ seed: 5, train: 0, dev: 0, test: 90, size: 32 });
    const ids = (images: typeof set.images) => images.filter(({ split }) => split === "test").map(({ id }) => id);
    expect(ids(more.images).slice(0, 60)).toEqual(ids(set.images));
    for (const { split, scene: shown } of more.images) expect([split, splitOf(shown)]).toEqual(["test", "test"]);
  });

  test.each([
    [{ train: 0, dev: 0, test: 0 }, "a data set of 0 scenes is empty; ask for at least one scene."],
    [{ train: 1.5, dev: 0, test: 0 }, "1.5 scenes for train is not a whole number from 0 to 1000000."],
    [{ train: 1, dev: -1, test: 0 }, "-1 scenes for dev is not a whole number from 0 to 1000000."],
    [{ train: 6e5, dev: 6e5, test: 0 }, "1200000 scenes for all splits is not a whole number from 0 to 1000000."],
  ])("refuses %j", (numbers, message) => {
    expect(() => sceneDataset({ seed: 1, ...numbers })).toThrow(message);
  });
});
