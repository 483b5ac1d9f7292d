import { ClipCapError } from "../../runtime/errors.js";
import type { RgbImage } from "../image/rgb.js";
import { drawBackground } from "./backgrounds.js";
import { DRAWINGS, outline, shade } from "./kinds.js";
import { ellipse, fill, type Polygon } from "./paint.js";
import { type Scene, type SceneObject, SIDE } from "./scene.js";

/** How far the line around an object reaches out of its parts, in units. */
const OUTLINE = 0.7;

/** 48 MB of pixels, finer than any screen. */
const MAX_SIZE = 4096;

/**
 * The scene as a square picture of `size` pixels a side, the same bytes in every engine; sizes other than the 64 that
 * models read show the same scene finer or coarser.
 * @throws ClipCapError `bad-input`
 */
export function drawScene(scene: Scene, size = 64): RgbImage {
  if (!Number.isInteger(size) || size < 1 || size > MAX_SIZE) {
    throw new ClipCapError("bad-input", `a scene of ${size} pixels a side cannot be drawn; give 1 to ${MAX_SIZE}.`);
  }
  const image = { width: size, height: size, data: new Uint8Array(3 * size * size) };
  const shadow = drawBackground(image, scene);
  for (const object of scene.objects) {
    const side = SIDE[object.size];
    fill(image, ellipse(object.x, object.y + side * 0.47, side * 0.48, side * 0.1), shadow);
  }
  for (const object of scene.objects) drawObject(image, object);
  return image;
}

function drawObject(image: RgbImage, { kind, colour, size, x, y }: SceneObject): void {
  const scale = SIDE[size] / 20;
  const parts = DRAWINGS[kind].map(([paint, polygon]) => ({
    paint,
    polygon: polygon.map((value, i) => value * scale + (i % 2 === 0 ? x : y)),
  }));
  const line = outline(colour);
  for (const { polygon } of parts) fill(image, grown(polygon, OUTLINE), line);
  for (const { paint, polygon } of parts) fill(image, polygon, shade(paint, colour));
}

/** Stretched from the middle so that its width and height grow by `by` on every side. */
function grown(polygon: Polygon, by: number): Polygon {
  const [x, y] = [0, 1].map((axis) => {
    const values = polygon.filter((_, i) => i % 2 === axis);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return { middle: (least + most) / 2, factor: 1 + (2 * by) / (most - least) };
  });
  return polygon.map((value, i) => {
    const { middle, factor } = (i % 2 === 0 ? x : y)!;
    return middle + (value - middle) * factor;
  });
}
