import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { imageFiles } from "../../src/data/files.js";
import { expandBraces, isGlob, matchesName } from "../../src/data/glob.js";

let root: string;
const TREE = [
  "b.jpg",
  "a.PNG",
  "notes.txt",
  "x[1].jpg",
  "what?.jpg",
  ".hidden.jpg",
  "sub/c.jpeg",
  "sub/deep/d.webp",
  "sub/deep/e.svg",
  ".git/f.jpg",
  "none/readme.md",
];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "clipcap-files-"));
  for (const path of TREE) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), "");
  }
  await symlink(root, join(root, "sub", "loop"));
  await symlink(join(root, "b.jpg"), join(root, "sub", "link.jpg"));
});
afterAll(() => rm(root, { recursive: true }));

/** Paths relative to the test folder, and the sentences about the rest. */
async function expand(...args: string[]) {
  const { files, errors } = await imageFiles(args.map((arg) => join(root, arg)));
  return {
    files: files.map((file) => file.slice(root.length + 1)),
    errors: errors.map((e) => e.message.replace(root, "")),
  };
}

describe("imageFiles", () => {
  test("a folder means the images below it, sorted, without hidden ones, text and folders behind links", async () => {
    const all = [
      "a.PNG",
      "b.jpg",
      "sub/c.jpeg",
      "sub/deep/d.webp",
      "sub/deep/e.svg",
      "sub/link.jpg",
      "what?.jpg",
      "x[1].jpg",
    ];
    expect(await expand("")).toEqual({ files: all, errors: [] });
    expect((await expand("sub/deep")).files).toEqual(["sub/deep/d.webp", "sub/deep/e.svg"]);
  });

  test("files keep the order of the arguments, whatever their extension, and come once", async () => {
    expect((await expand("notes.txt", "b.jpg", "a.PNG", "b.jpg")).files).toEqual(["notes.txt", "b.jpg", "a.PNG"]);
  });

  test("patterns", async () => {
    expect((await expand("*.jpg")).files).toEqual(["b.jpg", "what?.jpg", "x[1].jpg"]);
    expect((await expand("?.{jpg,PNG}")).files).toEqual(["a.PNG", "b.jpg"]);
    expect((await expand("**/*.jpeg")).files).toEqual(["sub/c.jpeg"]);
    expect((await expand("sub/**")).files).toEqual(["sub/c.jpeg", "sub/deep/d.webp", "sub/deep/e.svg", "sub/link.jpg"]);
    expect((await expand("s*/d*/*")).files).toEqual(["sub/deep/d.webp", "sub/deep/e.svg"]);
    expect((await expand(".git/*.jpg")).files).toEqual([".git/f.jpg"]);
    expect((await expand("**/{d,e}.*", "*/c.jpeg")).files).toEqual(["sub/deep/d.webp", "sub/deep/e.svg", "sub/c.jpeg"]);
  });

  test("an existing file is not a pattern", async () => {
    expect((await expand("what?.jpg")).files).toEqual(["what?.jpg"]);
  });

  test("what leads to nothing is reported, one sentence each, and the rest goes on", async () => {
    expect(await expand("missing.jpg", "b.jpg", "*.gif", "none", "b.jpg/x.jpg")).toEqual({
      files: ["b.jpg"],
      errors: [
        "/missing.jpg does not exist; check the path.",
        "/*.gif matches no file; check the pattern.",
        "/none has no images in it (JPEG, PNG, WebP, GIF, AVIF, TIFF, SVG).",
        "/b.jpg/x.jpg does not exist; check the path.",
      ],
    });
    const { errors } = await imageFiles([""]);
    expect(errors.map((e) => [e.code, e.message])).toEqual([["not-found", '"" does not exist; check the path.']]);
  });

  test('"-" reads paths from standard input, split anywhere', async () => {
    async function* input() {
      const text = new TextEncoder().encode(
        `${join(root, "b.jpg")}\r\n\n${join(root, "ü.jpg")}\n${join(root, "sub/deep")}`,
      );
      for (const byte of text) yield Uint8Array.of(byte);
    }
    const { files, errors } = await imageFiles(["-"], input());
    expect(files.map((file) => file.slice(root.length + 1))).toEqual(["b.jpg", "sub/deep/d.webp", "sub/deep/e.svg"]);
    expect(errors.map((e) => e.message)).toEqual([`${join(root, "ü.jpg")} does not exist; check the path.`]);
    expect((await imageFiles(["-"])).errors[0]?.message).toBe(
      '"-" reads paths from standard input, which is not available.',
    );
    const { errors: ofNothing } = await imageFiles(["-"], (async function* () {})());
    expect(ofNothing.map((e) => e.message)).toEqual(["standard input names no images."]);
  });

  test("a relative pattern starts in the working folder", async () => {
    expect((await imageFiles(["./packag?.json", "package.json"])).files).toEqual(["package.json"]);
  });
});

describe("patterns", () => {
  test("braces", () => {
    expect(expandBraces("a{b,c{d,e}}f").sort()).toEqual(["abf", "acdf", "acef"]);
    expect(expandBraces("x{1}.jpg")).toEqual(["x{1}.jpg"]);
    expect(expandBraces("{a,b}".repeat(30)).length).toBeLessThanOrEqual(257);
    expect([isGlob("x{1}.jpg"), isGlob("a{b,c}"), isGlob("a*"), isGlob("x[1].jpg")]).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  test("names fit as the equivalent regular expression says", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 6 });
    fc.assert(
      fc.property(text, pattern, (name, glob) => {
        const regex = new RegExp(`^${glob.replaceAll("*", ".*").replaceAll("?", ".")}$`);
        expect(matchesName(name, glob)).toBe(regex.test(name));
      }),
      { seed: 1, numRuns: 5000 },
    );
  });

  test("hidden names fit only patterns that begin with a dot", () => {
    expect([matchesName(".a", "*"), matchesName(".a", "?a"), matchesName(".a", ".*")]).toEqual([false, false, true]);
  });
});
