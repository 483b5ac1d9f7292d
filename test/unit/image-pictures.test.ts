import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { decodeImage } from "../../src/data/image/decode-node.js";

const folder = fileURLToPath(new URL("../../examples/pictures/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".svg"));

test("eight pictures are drawn", () => expect(names.length).toBe(8));

test.each(names)("%s is a 640x480 scene of its own, filled to the edges", async (name) => {
  const { width, height, data } = await decodeImage(folder + name);
  expect([width, height]).toEqual([640, 480]);
  const colours = new Set<number>();
  let white = 0;
  for (let i = 0; i < data.length; i += 3) {
    const colour = (data[i]! << 16) | (data[i + 1]! << 8) | data[i + 2]!;
    colours.add(colour);
    if (colour === 0xffffff) white++;
  }
  // A filter that the renderer does not know leaves a flat or blank drawing: a few hundred colours instead of thousands.
  expect(colours.size).toBeGreaterThan(10_000);
  expect(white / (width * height)).toBeLessThan(0.05);
  expect(readFileSync(folder + name, "utf8")).toMatch(/<title>[A-Z].*<\/title>/);
});
