import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeImage } from "../../src/data/image/decode-node.js";

const WIDTH = 64;
const HEIGHT = 48;
const pixels = Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, (_, i) => Math.imul(i, 0x9e3779b1) >>> 25);
const picture = () => sharp(pixels, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } });

/** Complete files of every format, made once. */
const files = new Map<string, Buffer>();
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "clipcap-images-"));
  files.set("jpeg", await picture().jpeg().toBuffer());
  files.set("progressive", await picture().jpeg({ progressive: true }).toBuffer());
  files.set("png", await picture().png().toBuffer());
  files.set("webp", await picture().webp({ lossless: true }).toBuffer());
  files.set("gif", await picture().gif().toBuffer());
  files.set("avif", await picture().avif({ effort: 0 }).toBuffer());
  files.set("tiff", await picture().tiff({ compression: "none" }).toBuffer());
});
afterAll(() => rm(folder, { recursive: true }));

const FORMATS = ["jpeg", "progressive", "png", "webp", "gif", "avif", "tiff"];

describe.each(FORMATS)("%s", (format) => {
  test("is decoded, from bytes and from a file", async () => {
    const bytes = files.get(format)!;
    const path = join(folder, format);
    await writeFile(path, bytes);
    const image = await decodeImage(bytes);
    expect([image.width, image.height, image.data.length]).toEqual([WIDTH, HEIGHT, pixels.length]);
    expect(await decodeImage(path)).toEqual(image);
    if (["png", "webp", "tiff"].includes(format)) expect(Buffer.compare(image.data, pixels)).toBe(0);
  });

  test.each([0.9, 0.5, 0.1, 0.02])("cut off at %f of its length it is refused by name", async (share) => {
    const path = join(folder, `cut-${format}`);
    const bytes = files.get(format)!;
    await writeFile(path, bytes.subarray(0, Math.ceil(bytes.length * share)));
    const error = await decodeImage(path).catch((e: unknown) => e);
    expect(error).toMatchObject({ name: "ClipCapError", code: "bad-image" });
    expect(String(error)).toMatch(
      /cut-\w+ (is damaged or cut off \(.+\); replace the file|cannot be read as an image; give an undamaged JPEG, .+)\.$/,
    );
  });
});

describe("what Pillow's convert(RGB) does", () => {
  test("16-bit RGB keeps the high byte", async () => {
    const wide = Uint16Array.of(300, 65535, 5000);
    const bytes = await sharp(wide, { raw: { width: 1, height: 1, channels: 3 } })
      .toColourspace("rgb16")
      .png()
      .toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe("ushort");
    expect([...(await decodeImage(bytes)).data]).toEqual([1, 255, 19]);
  });

  test("one-bit and grey files become grey RGB", async () => {
    const grey = await picture().greyscale().png({ palette: true, colours: 2 }).toBuffer();
    const { data } = await decodeImage(grey);
    expect(new Set(data).size).toBe(2);
    expect(data.every((value, i) => value === data[i - (i % 3)])).toBe(true);
  });

  test("the colour under full transparency stays", async () => {
    const raw = { raw: { width: 1, height: 1, channels: 4 } } as const;
    const rgba = await sharp(Uint8Array.of(10, 20, 30, 0), raw)
      .png()
      .toBuffer();
    expect([...(await decodeImage(rgba)).data]).toEqual([10, 20, 30]);
  });

  test("an embedded colour profile is not applied", async () => {
    const bytes = await picture().png().withIccProfile("p3").toBuffer();
    const stored = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer();
    expect((await sharp(bytes).metadata()).hasProfile).toBe(true);
    expect(Buffer.compare((await decodeImage(bytes)).data, stored)).toBe(0);
  });

  test("only the first frame of an animation is taken", async () => {
    const raw = { raw: { width: 2, height: 4, channels: 3, pageHeight: 2 } } as const;
    const frames = Uint8Array.from({ length: 24 }, (_, i) => (i < 12 ? 255 : 0));
    const gif = await sharp(frames, raw).gif().toBuffer();
    expect((await sharp(gif).metadata()).pages).toBe(2);
    expect(await decodeImage(gif)).toEqual({ width: 2, height: 2, data: new Uint8Array(12).fill(255) });
  });
});

test.each([1, 2, 3, 4, 5, 6, 7, 8])("EXIF orientation %i is applied, and ignored on request", async (orientation) => {
  const bytes = await picture().png().withMetadata({ orientation }).toBuffer();
  const upright = await decodeImage(bytes);
  const size = orientation >= 5 ? [HEIGHT, WIDTH] : [WIDTH, HEIGHT];
  expect([upright.width, upright.height]).toEqual(size);
  // Where the stored first pixel ends up: EXIF 2.32, tag 274.
  const corner = [
    0,
    0,
    WIDTH - 1,
    WIDTH * HEIGHT - 1,
    WIDTH * (HEIGHT - 1),
    0,
    HEIGHT - 1,
    WIDTH * HEIGHT - 1,
    HEIGHT * (WIDTH - 1),
  ];
  const at = corner[orientation]! * 3;
  expect(upright.data.subarray(at, at + 3)).toEqual(pixels.subarray(0, 3));
  const stored = await decodeImage(bytes, { rawOrientation: true });
  expect(Buffer.compare(stored.data, pixels)).toBe(0);
});

const svg = (attributes: string, body = "") =>
  new TextEncoder().encode(`<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>${body}</svg>`);

describe("SVG", () => {
  test("is drawn on white", async () => {
    const image = await decodeImage(svg('width="2" height="1"', '<rect width="1" height="1" fill="#ff0000"/>'));
    expect(image).toEqual({ width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 255, 255, 255) });
  });

  test("cannot pull in other files", async () => {
    await writeFile(join(folder, "secret.png"), files.get("png")!);
    const path = join(folder, "link.svg");
    await writeFile(path, svg('width="8" height="8"', '<image href="secret.png" width="8" height="8"/>'));
    expect((await decodeImage(path)).data.every((value) => value === 255)).toBe(true);
  });

  test("is limited in pixels and bytes", async () => {
    await expect(decodeImage(svg('width="5000" height="4000"'))).rejects.toThrow(
      "has 5000x4000 = 20000000 pixels, more than the limit of 16777216; scale it down first.",
    );
    await expect(decodeImage(svg('width="5" height="5"', `<!--${"x".repeat(2 ** 20)}-->`))).rejects.toThrow(
      "the limit for SVG is 1048576; save it as PNG.",
    );
  });
});

describe("refusals name the file and say what to do", () => {
  test.each([
    ["text", "hello, this is no image", "cannot be read as an image; give an undamaged JPEG, PNG"],
    ["page.html", "<html><body>404</body></html>", "cannot be read as an image"],
    ["zeros", "\0".repeat(5000), "cannot be read as an image"],
    ["document.pdf", "%PDF-1.4\n%%EOF", "cannot be read as an image"],
    ["empty.jpg", "", "empty.jpg is empty; give an image"],
    ["head.gif", "GIF89a", "head.gif is damaged or cut off"],
  ])("%s", async (name, text, message) => {
    const path = join(folder, name);
    await writeFile(path, text);
    await expect(decodeImage(path)).rejects.toMatchObject({
      code: "bad-image",
      message: expect.stringContaining(message),
    });
    await expect(decodeImage(path)).rejects.toThrow(path);
  });

  test("a missing file, a path through a file, a folder, a device", async () => {
    await expect(decodeImage(join(folder, "none.jpg"))).rejects.toMatchObject({ code: "not-found" });
    await writeFile(join(folder, "plain"), "x");
    await expect(decodeImage(join(folder, "plain", "x.jpg"))).rejects.toThrow("does not exist; check the path.");
    await expect(decodeImage(folder)).rejects.toThrow(`${folder} is a folder; give an image file.`);
    await expect(decodeImage("/dev/null")).rejects.toThrow("/dev/null is not a regular file; save the image first.");
  });

  test("more pixels than the limit, before they are decoded", async () => {
    await expect(decodeImage(files.get("png")!, { maxPixels: 3071 })).rejects.toThrow(
      "the image has 64x48 = 3072 pixels, more than the limit of 3071; scale it down first.",
    );
    expect((await decodeImage(files.get("png")!, { maxPixels: 3072 })).width).toBe(WIDTH);
    // A PNG that only claims its size: 60,000 x 60,000 is 10.8 GB of pixels.
    const bomb = Buffer.from(files.get("png")!);
    bomb.writeUInt32BE(60_000, 16);
    bomb.writeUInt32BE(60_000, 20);
    await expect(decodeImage(bomb)).rejects.toMatchObject({ code: "bad-image" });
  });
});
