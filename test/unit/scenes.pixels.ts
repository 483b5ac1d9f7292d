import { drawScene } from "../../src/data/scenes/draw.js";
import { makeScene } from "../../src/data/scenes/scene.js";

/** Pixels of the first 200 scenes of world 1, all in one, at the size that models read, a finer and an odd one. */
export function pinnedPixels(): readonly Uint8Array[] {
  return [64, 160, 37].map((size) => {
    const pixels = new Uint8Array(200 * 3 * size * size);
    for (let i = 0; i < 200; i++) pixels.set(drawScene(makeScene(1, i), size).data, i * 3 * size * size);
    return pixels;
  });
}
