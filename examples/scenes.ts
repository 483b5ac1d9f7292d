/**
 * Scenes, the drawn pictures that a captioner can be trained on without a download: a page with some and their captions.
 *
 *     npx tsx examples/scenes.ts scenes.html 7        # the page to write, the world's seed
 */
import { writeFile } from "node:fs/promises";
import sharp from "sharp";
import { sceneCaptions } from "../src/data/scenes/captions.js";
import { drawScene } from "../src/data/scenes/draw.js";
import { makeScene, type Scene } from "../src/data/scenes/scene.js";

const page = process.argv[2] ?? "scenes.html";
const seed = Number(process.argv[3] ?? 1);
const scenes = Array.from({ length: 25 }, (_, index) => makeScene(seed, index));
const figures = await Promise.all(scenes.map(figure));
await writeFile(
  page,
  `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Scenes</title>
<style>
  body { margin: 2rem; font: 0.9rem/1.4 system-ui, sans-serif; }
  main { display: grid; gap: 2rem 1.5rem; grid-template-columns: repeat(5, 1fr); }
  figure { margin: 0; }
  img { display: block; width: 100%; border-radius: 0.4rem; }
  figcaption { margin-top: 0.5rem; white-space: pre-line; }
  figcaption img { float: right; margin-left: 0.5rem; width: 64px; }
</style>
<main>
${figures.join("\n")}
</main>
</html>
`,
);
console.log(`Wrote ${page}: open it in a browser. The small pictures are what a model gets.`);

async function figure(scene: Scene): Promise<string> {
  // Models read 64 pixels a side; eyes prefer more, and get the same scene.
  const [large, small] = await Promise.all([png(scene, 256), png(scene, 64)]);
  return `<figure>${large}<figcaption>${small}${sceneCaptions(scene).join("\n")}</figcaption></figure>`;
}

async function png(scene: Scene, size: number): Promise<string> {
  const { width, height, data } = drawScene(scene, size);
  const file = await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
  return `<img alt="" src="data:image/png;base64,${file.toString("base64")}">`;
}
