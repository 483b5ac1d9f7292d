import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type OpenDatasetOptions, openDataset } from "../../../src/data/captions/node-open.js";
import { problemSummary } from "../../../src/data/captions/problems.js";
import { failure, folderOf, plain, png, sentences } from "./fixtures.js";

/** A data set of one file beside images of these names. */
async function dataOf(text: string, images: readonly string[], options: OpenDatasetOptions = {}) {
  const picture = await png(5);
  const root = await folderOf({ data: text, ...Object.fromEntries(images.map((name) => [`images/${name}`, picture])) });
  const data = await openDataset(join(root, "data"), options);
  return { data, images: plain(data), problems: sentences(data, root) };
}

const coco = (images: unknown[], annotations: unknown[]) => JSON.stringify({ info: {}, images, annotations });

describe("COCO annotations", () => {
  test("captions in the order of their ids, whatever the file's; images together or in the folder of their names", async () => {
    const images = [
      { id: 7, file_name: "COCO_val2014_000000000007.jpg" },
      { id: 3, file_name: "b.jpg" },
    ];
    const annotations = [
      { image_id: 3, id: 30, caption: "third" },
      { image_id: 7, id: 10, caption: "first" },
      { image_id: 3, id: 20, caption: "second" },
    ];
    const { data, images: got } = await dataOf(coco(images, annotations), [
      "b.jpg",
      "val2014/COCO_val2014_000000000007.jpg",
    ]);
    expect(data.format).toBe("coco");
    expect(got).toEqual([
      { id: "COCO_val2014_000000000007.jpg", captions: ["First."], split: undefined },
      { id: "b.jpg", captions: ["Second.", "Third."], split: undefined },
    ]);
    expect((await data.images[0]!.decode()).width).toBe(2);
  });

  test("a caption that is a list nested very deep is named by its kind", async () => {
    const deep = "[".repeat(20_000) + "]".repeat(20_000);
    const text = coco([{ id: 1, file_name: "a.jpg" }], [{ image_id: 1, id: 1, caption: 0 }]).replace(
      '"caption":0',
      `"caption":${deep}`,
    );
    await expect(dataOf(text, ["a.jpg"])).rejects.toThrow('annotations[0]: "caption" must be a text, not a list.');
  });

  test("what is broken is said by its place", async () => {
    const images = [
      5,
      { id: 1 },
      { id: 2, file_name: "a.jpg" },
      { id: 3, file_name: "silent.jpg" },
      { id: 4, file_name: "gone.jpg" },
    ];
    const annotations = [
      { image_id: 2, id: 1, caption: "fine" },
      { image_id: 9, id: 2, caption: "of no image" },
      { image_id: 2, id: 3, caption: 4 },
      { image_id: 4, id: 4, caption: "of a missing one" },
    ];
    const { images: got, problems } = await dataOf(coco(images, annotations), ["a.jpg", "silent.jpg"]);
    expect(got.map(({ id }) => id)).toEqual(["a.jpg"]);
    expect(problems).toEqual([
      "data, images[0]: 5 is no object.",
      'data, images[1]: "file_name" must be a text, not missing.',
      'data, annotations[2]: "caption" must be a text, not 4.',
      "data, annotations[1]: no usable image has the id 9.",
      'data, images[3]: "silent.jpg" has no caption.',
      'data, annotations[3]: the image "gone.jpg" does not exist.',
    ]);
  });

  test("an id of two images names neither, and an image without an id has no captions", async () => {
    const images = [
      { id: 1, file_name: "a.jpg" },
      { id: 1, file_name: "b.jpg" },
      { file_name: "c.jpg" },
      { id: 2, file_name: "d.jpg" },
      { id: 2, file_name: "d.jpg" },
    ];
    const annotations = [
      { image_id: 1, id: 1, caption: "of a or b" },
      { id: 2, caption: "of c, perhaps" },
      { image_id: 2, id: 3, caption: "of d" },
    ];
    const names = images.map(({ file_name }) => file_name);
    const { data, images: got, problems } = await dataOf(coco(images, annotations), names);
    expect(got).toEqual([{ id: "d.jpg", captions: ["Of d."], split: undefined }]);
    expect(data.problems.counts).toEqual({ row: 4, caption: 0, image: 0, picture: 0 });
    expect(problems).toEqual([
      "data, images[1]: images[0] is another image with its id 1; neither is used.",
      'data, images[2]: "id" must be a number or a text, not missing.',
      "data, annotations[0]: no usable image has the id 1.",
      "data, annotations[1]: no usable image has the id missing.",
    ]);
  });

  test("the original's list finds files by their number", async () => {
    const list = [
      { image_id: "42", id: 2, caption: "second" },
      { image_id: 391895, id: 3, caption: "other" },
      { image_id: 42, id: 1, caption: "first" },
      { image_id: "../1", id: 4, caption: "hostile" },
      { image_id: 5, id: 5, caption: "gone" },
    ];
    const { data, images, problems } = await dataOf(JSON.stringify(list), [
      "train2014/COCO_train2014_000000000042.jpg",
      "val2014/COCO_val2014_000000391895.jpg",
    ]);
    expect(data.format).toBe("coco-list");
    expect(images).toEqual([
      { id: "000000000042", captions: ["First.", "Second."], split: undefined },
      { id: "000000391895", captions: ["Other."], split: undefined },
    ]);
    expect(problems).toEqual([
      'data, entry [3]: "image_id" must be a whole number, not "../1".',
      'data, entry [4]: the image "000000000005" does not exist.',
    ]);
  });

  test("80 MB of it: 20,000 images and 200,000 captions", async () => {
    const long = "a person walks along a street while others wait for a bus in the rain ".repeat(5);
    const images = Array.from({ length: 20_000 }, (_, id) => ({
      id,
      file_name: id < 3 ? `${id}.jpg` : `${id}-gone.jpg`,
    }));
    const annotations = Array.from({ length: 200_000 }, (_, id) => ({
      image_id: id % 20_000,
      id,
      caption: `${long} ${id}`,
    }));
    const text = coco(images, annotations);
    expect(text.length).toBeGreaterThan(80e6);
    const { data, images: got } = await dataOf(text, ["0.jpg", "1.jpg", "2.jpg"]);
    expect(got.map(({ captions }) => captions.length)).toEqual([10, 10, 10]);
    expect(data.problems.counts).toEqual({ row: 0, caption: 0, image: 19_997, picture: 0 });
  }, 60_000);
});

test("Karpathy's splits: restval is trained on, val is dev; folders by filepath or by the name", async () => {
  const image = (filename: string, split: string, more = {}) => ({
    filename,
    split,
    sentences: [{ raw: `of ${split}`, tokens: [] }],
    ...more,
  });
  const document = {
    dataset: "coco",
    images: [
      image("COCO_val2014_000000000001.jpg", "test", { filepath: "val2014" }),
      image("COCO_train2014_000000000002.jpg", "train"),
      image("3.jpg", "restval"),
      image("4.jpg", "val"),
      image("5.jpg", "holdout"),
      image("6.jpg", "train", { sentences: [{ raw: 1 }] }),
      { split: "train", sentences: [] },
      image("8.jpg", "train", { filepath: "../.." }),
    ],
  };
  const names = [
    "val2014/COCO_val2014_000000000001.jpg",
    "train2014/COCO_train2014_000000000002.jpg",
    "3.jpg",
    "4.jpg",
  ];
  const { data, images, problems } = await dataOf(JSON.stringify(document), [...names, "5.jpg", "8.jpg"]);
  expect(data.format).toBe("karpathy");
  expect(images.map(({ id, split }) => [id, split])).toEqual([
    ["COCO_val2014_000000000001.jpg", "test"],
    ["COCO_train2014_000000000002.jpg", "train"],
    ["3.jpg", "train"],
    ["4.jpg", "dev"],
  ]);
  expect(problems).toEqual([
    'data, images[4]: "split" must be one of train, restval, dev, val, validation, test, not "holdout".',
    'data, images[5]: "sentences" has entries other than {"raw": "…"}.',
    'data, images[6]: "filename" must be a text, not missing.',
    'data, images[7]: "../../8.jpg" is no path inside the folder of images.',
  ]);
});

test("Karpathy's splits: images of one name in two folders stay two", async () => {
  const image = (filename: string, filepath: string | undefined, split: string) => ({
    filename,
    filepath,
    split,
    sentences: [{ raw: `of ${split} in ${filepath}` }],
  });
  const images = [
    image("1.png", "x", "train"),
    image("1.png", "y", "val"),
    image("1.png", "z", "test"),
    image("1.png", undefined, "test"),
    image("2.png", "x", "train"),
  ];
  const names = ["x/1.png", "y/1.png", "1.png", "x/2.png"];
  const { images: got, problems } = await dataOf(JSON.stringify({ images }), names);
  expect(got).toEqual([
    { id: "x/1.png", captions: ["Of train in x."], split: "train" },
    { id: "y/1.png", captions: ["Of val in y."], split: "dev" },
    { id: "1.png", captions: ["Of test in undefined."], split: "test" },
    { id: "2.png", captions: ["Of train in x."], split: "train" },
  ]);
  expect(problems).toEqual(['data, images[2]: the image "z/1.png" does not exist.']);
});

test("token files", async () => {
  const text = "a.jpg#0\tone dog .\r\na.jpg#1\ttwo\tdogs\n\nbroken line\nb.jpg.1#0\tgone\nb.jpg#0\tthree\n";
  const { data, images, problems } = await dataOf(text, ["a.jpg", "b.jpg"]);
  expect(data.format).toBe("token");
  expect(images).toEqual([
    { id: "a.jpg", captions: ["One dog.", "Two dogs."], split: undefined },
    { id: "b.jpg", captions: ["Three."], split: undefined },
  ]);
  expect(problems).toEqual([
    'data, line 4: "broken line" is not "name#0", a tab and a caption.',
    'data, line 5: the image "b.jpg.1" does not exist.',
  ]);
});

describe("tables", () => {
  test("quotes, further columns, a byte order mark and splits", async () => {
    const text = [
      "\ufeffid,image,caption,split",
      '1,a.jpg,"one, two ""three""",val',
      "2,a.jpg,plain,val",
      "3,b.jpg,a, b,train",
      '4,b.jpg,"open,train',
      "5,b.jpg,fine,nowhere",
      "6,b.jpg",
      "7,b.jpg,fine,",
    ].join("\n");
    const { data, images, problems } = await dataOf(text, ["a.jpg", "b.jpg"]);
    expect(data.format).toBe("csv");
    expect(images).toEqual([
      { id: "a.jpg", captions: ['One, two "three".', "Plain."], split: "dev" },
      { id: "b.jpg", captions: ["Fine."], split: undefined },
    ]);
    expect(problems).toEqual([
      'data, line 4: "3,b.jpg,a, b,train" has 5 fields instead of 4; quote captions that contain ",".',
      'data, line 5: "4,b.jpg,\\"open,train" has a quote that is not closed.',
      'data, line 6: "split" must be one of train, restval, dev, val, validation, test, not "nowhere".',
      'data, line 7: "6,b.jpg" has 2 fields instead of 4.',
    ]);
  });

  test("Flickr30k's bars", async () => {
    const text = 'image_name| comment_number| comment\na.jpg| 0| A "big" dog .\na.jpg| 4   no bar\n';
    const { images, problems } = await dataOf(text, ["a.jpg"]);
    expect(images).toEqual([{ id: "a.jpg", captions: ['A "big" dog.'], split: undefined }]);
    expect(problems).toEqual(['data, line 3: "a.jpg| 4   no bar" has 2 fields instead of 3.']);
  });
});

test("a folder of images with .txt files", async () => {
  const picture = await png(1);
  const root = await folderOf({
    "b.png": picture,
    "b.txt": "one\n\ntwo\n",
    "sub/a.JPG": picture,
    "sub/a.txt": "three",
    "c.png": picture,
    "d.png": picture,
    "d.txt": " \n.\n",
    "e.png": picture,
    "e.txt": "\n \n",
    "f.png": picture,
    "f.txt": "",
    "g.png": picture,
    "g.txt": `fine\n${"x".repeat(2 ** 20 + 1)}`,
    "notes.md": "",
    "sub/lost.txt": "a caption without its picture",
    "README.txt": "",
  });
  const data = await openDataset(root);
  expect(data.format).toBe("sidecar");
  expect(plain(data)).toEqual([
    { id: "b.png", captions: ["One.", "Two."], split: undefined },
    { id: "g.png", captions: ["Fine."], split: undefined },
    { id: "sub/a.JPG", captions: ["Three."], split: undefined },
  ]);
  expect(data.problems.counts).toEqual({ row: 1, caption: 4, image: 2, picture: 0 });
  expect(sentences(data, root).map((text) => text.replace(root, "DATA"))).toEqual([
    'DATA, c.txt: "c.png" has no caption.',
    'd.txt, line 2: the caption "." is empty.',
    'DATA, e.txt: "e.png" has no caption.',
    'DATA, f.txt: "f.png" has no caption.',
    "g.txt, line 2: the line is longer than the limit of 1048576 characters.",
    "DATA, README.txt: there is no image beside it.",
    "DATA, sub/lost.txt: there is no image beside it.",
  ]);
});

test("options: another folder of images, captions as written, a stated format", async () => {
  const root = await folderOf({ "c.txt": "a.png\tone dog .\n", "else/a.png": await png(1) });
  const path = join(root, "c.txt");
  const normalise = { period: false, capital: false };
  const data = await openDataset(path, { images: join(root, "else"), format: "token", normalise });
  expect(plain(data)).toEqual([{ id: "a.png", captions: ["one dog."], split: undefined }]);
  expect(await failure(openDataset(path), root)).toMatch(/^bad-input: c.txt has none of the formats jsonl, coco, /);
});

test.each<[string, string | Uint8Array, OpenDatasetOptions, string]>([
  ["not JSON", '{\n "images": [', {}, "bad-input: data is not valid JSON ("],
  ["other JSON", '{"images": 3}', {}, "bad-input: data has none of the formats jsonl, coco,"],
  [
    "another format than stated",
    "[]",
    { format: "karpathy" },
    "bad-input: data has the format coco-list, not karpathy.",
  ],
  ["an empty list", "[]", {}, "bad-input: data gives no image with a caption: it is empty."],
  ["no table", "one\ntwo\n", { format: "csv" }, 'data, line 1: the header "one" does not name a column image'],
  ["a compressed file", Uint8Array.of(0x1f, 0x8b, 8, 0), {}, "bad-input: data is compressed (gzip); unpack it first."],
  ["no shards", "x", { format: "webdataset" }, "bad-input: data holds no .tar shards; check the path."],
  ["no folder", "x", { format: "sidecar" }, "not-found: data is no folder of images; check the path."],
  ["nothing", "", {}, "bad-input: data has none of the formats jsonl,"],
])("%s is an error that says so", async (_, content, options, expected) => {
  const root = await folderOf({ data: content });
  expect(await failure(openDataset(join(root, "data"), options), root)).toContain(expected);
});

test("a path of 1,500 folders or an endless name is only missing", async () => {
  const ids = [`${"x/".repeat(1500)}a.jpg`, "y".repeat(3000), ".", "images", "a.jpg/b.jpg"];
  const rows = [...ids, "a.jpg"].map((file) => JSON.stringify({ file, captions: ["a"] }));
  const { data } = await dataOf(rows.join("\n"), ["a.jpg"]);
  expect(problemSummary(data.problems)).toBe("5 images are missing");
});
