/** A picture made of whole numbers, so that every engine draws the same bytes: a brown animal on grass below the sky. */
import type { RgbImage } from "../../src/index.js";

const SKY = [120, 170, 230];
const GRASS = [70, 140, 50];
const FUR = [110, 70, 40];

export function drawPicture(width = 320, height = 240): RgbImage {
  const data = new Uint8Array(width * height * 3);
  const within = (x: number, y: number, cx: number, cy: number, rx: number, ry: number) =>
    (x - cx) ** 2 * ry ** 2 + (y - cy) ** 2 * rx ** 2 <= rx ** 2 * ry ** 2;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const legs = y > 150 && y < 205 && [115, 135, 185, 205].some((at) => Math.abs(x - at) < 7);
      const animal = within(x, y, 160, 140, 62, 30) || within(x, y, 225, 112, 24, 20) || legs;
      const base = animal ? FUR : y < 110 ? SKY : GRASS;
      const grain = ((x * 73) ^ (y * 151)) % 23; // texture
      for (let c = 0; c < 3; c++) data[(y * width + x) * 3 + c] = base[c]! + grain - 11;
    }
  }
  return { width, height, data };
}
