import type { RgbImage } from "../image/rgb.js";
import { ellipse, fill, gradient, type Rgb, rectangle } from "./paint.js";
import { type Below, randomStream } from "./random.js";
import { type Background, type Scene, UNITS } from "./scene.js";

/** Each paints the whole picture and returns the colour of shadows on its ground. The horizon is near 18 of 64. */
const PAINTERS: Readonly<Record<Background, (image: RgbImage, below: Below) => Rgb>> = {
  meadow: paintMeadow,
  beach: paintBeach,
  snow: paintSnow,
  night: paintNight,
  room: paintRoom,
};

/** Paints all but the objects; returns the colour of their shadows. */
export function drawBackground(image: RgbImage, { background, detail }: Scene): Rgb {
  return PAINTERS[background](image, randomStream(detail));
}

const WHITE: Rgb = [255, 255, 255];

function paintMeadow(image: RgbImage, below: Below): Rgb {
  gradient(image, [150, 208, 245], [216, 240, 250], 18);
  fill(image, ellipse(8 + below(48), 6 + below(3), 4, 4), [255, 240, 170]);
  for (let i = 0; i < 2; i++) cloud(image, below(60), 5 + below(6), WHITE);
  fill(image, ellipse(below(24), 24, 30, 10), [172, 212, 140]);
  fill(image, ellipse(40 + below(24), 26, 32, 12), [160, 206, 128]);
  fill(image, rectangle(0, 20, UNITS, 44), [184, 222, 140]);
  fill(image, ellipse(below(64), 66, 44, 26), [174, 216, 128]);
  for (let i = 0; i < 16; i++) tuft(image, below(64), 24 + below(40), [140, 192, 100]);
  for (let i = 0; i < 6; i++) blossom(image, 1 + below(62), 24 + below(39), below(2) ? WHITE : [255, 226, 236]);
  return [146, 190, 108];
}

function paintBeach(image: RgbImage, below: Below): Rgb {
  gradient(image, [128, 200, 240], [206, 238, 250], 12);
  cloud(image, below(60), 4 + below(3), WHITE);
  fill(image, rectangle(0, 11, UNITS, 12), [96, 190, 206]);
  for (let i = 0; i < 7; i++) fill(image, ellipse(below(64), 12.5 + below(7), 3, 0.4), [176, 228, 232]);
  const shore = below(8);
  fill(image, [0, 21, 16, 19 + (shore % 3), 34, 21, 50, 19 + (shore >> 2), 64, 20, 64, 64, 0, 64], [226, 246, 244]);
  fill(image, [0, 23, 16, 21 + (shore % 3), 34, 23, 50, 21 + (shore >> 2), 64, 22, 64, 64, 0, 64], [246, 226, 178]);
  fill(image, ellipse(below(64), 64, 46, 22), [240, 216, 164]);
  for (let i = 0; i < 22; i++) fill(image, ellipse(below(64), 26 + below(38), 0.5, 0.5), [220, 190, 136]);
  for (let i = 0; i < 3; i++) blossom(image, 2 + below(60), 28 + below(34), [255, 244, 236]);
  return [214, 186, 138];
}

function paintSnow(image: RgbImage, below: Below): Rgb {
  gradient(image, [176, 198, 222], [226, 234, 244], 18);
  for (const at of [below(20), 20 + below(20), 44 + below(20)]) {
    const peak = 3 + below(6);
    fill(image, [at, peak, at + 20, 24, at - 20, 24], [160, 180, 208]);
    fill(image, [at, peak, at + 5, peak + 5, at + 1, peak + 4, at - 2, peak + 6, at - 5, peak + 5], WHITE);
  }
  fill(image, rectangle(0, 19, UNITS, 45), [240, 245, 251]);
  fill(image, ellipse(below(30), 26, 34, 8), [240, 245, 251]);
  fill(image, ellipse(below(64), 64, 44, 24), [228, 236, 247]);
  for (let i = 0; i < 18; i++) fill(image, ellipse(below(64), below(64), 0.8, 0.8), i < 6 ? WHITE : [214, 226, 242]);
  return [198, 212, 232];
}

function paintNight(image: RgbImage, below: Below): Rgb {
  gradient(image, [18, 22, 62], [58, 62, 118], 18);
  for (let i = 0; i < 14; i++) fill(image, ellipse(below(64), below(17), 0.5, 0.5), [244, 240, 200]);
  const moon = 8 + below(48);
  fill(image, ellipse(moon, 8, 4.4, 4.4), [250, 240, 190]);
  fill(image, ellipse(moon + 2.2, 7, 3.8, 3.8), [32, 36, 82]);
  fill(image, ellipse(below(30), 24, 30, 8), [40, 58, 86]);
  fill(image, rectangle(0, 20, UNITS, 44), [50, 72, 96]);
  fill(image, ellipse(below(64), 66, 46, 26), [58, 82, 106]);
  for (let i = 0; i < 14; i++) tuft(image, below(64), 24 + below(40), [76, 104, 124]);
  return [32, 46, 68];
}

function paintRoom(image: RgbImage, below: Below): Rgb {
  gradient(image, [246, 228, 206], [246, 228, 206], UNITS);
  for (let x = below(6); x < UNITS; x += 6) fill(image, rectangle(x, 0, 2.4, 19), [240, 216, 190]);
  const window = 6 + below(40);
  fill(image, rectangle(window, 2, 12, 12), WHITE);
  for (const [dx, dy] of [
    [1, 3],
    [6.5, 3],
    [1, 8.5],
    [6.5, 8.5],
  ] as const)
    fill(image, rectangle(window + dx, dy, 4.5, 4.5), [178, 222, 244]);
  fill(image, rectangle(0, 18, UNITS, 2), WHITE);
  fill(image, rectangle(0, 20, UNITS, 44), [216, 178, 138]);
  for (let y = 20; y < UNITS; y += 6) {
    fill(image, rectangle(0, y, UNITS, 0.6), [196, 156, 118]);
    for (let x = below(24); x < UNITS; x += 24) fill(image, rectangle(x, y, 0.6, 6), [196, 156, 118]);
  }
  fill(image, ellipse(20 + below(24), 46, 26, 13), [232, 208, 178]);
  return [182, 144, 106];
}

function cloud(image: RgbImage, x: number, y: number, colour: Rgb): void {
  fill(image, ellipse(x, y, 4.5, 1.8), colour);
  fill(image, ellipse(x - 1, y - 1.2, 2.2, 1.6), colour);
  fill(image, ellipse(x + 1.6, y - 0.8, 1.8, 1.3), colour);
}

function tuft(image: RgbImage, x: number, y: number, colour: Rgb): void {
  fill(
    image,
    [x - 1.4, y - 1.6, x, y, x, y - 2.2, x + 0.4, y, x + 1.6, y - 1.5, x + 0.6, y + 0.6, x - 0.4, y + 0.6],
    colour,
  );
}

function blossom(image: RgbImage, x: number, y: number, colour: Rgb): void {
  fill(image, ellipse(x, y, 1.1, 0.5), colour);
  fill(image, ellipse(x, y, 0.5, 1.1), colour);
}
