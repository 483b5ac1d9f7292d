/**
 * `npm run demo` captions the pictures in examples/pictures, prints a line for each and writes demo.html with pictures
 * and captions; `npm run demo -- my.jpg` takes your own.
 */
import { readdir, writeFile } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { ClipCap, ClipCapError, decodeImage, modelFolder, openDevice } from "../src/node.js";
import { type Html, html } from "../src/pages/html.js";
import { htmlPage } from "../src/pages/node-page.js";

const PICTURES = fileURLToPath(new URL("../examples/pictures/", import.meta.url));
/** Where npm was called, so that `npm run demo -- my.jpg` finds my.jpg there. */
const CALLED_FROM = process.env.INIT_CWD ?? process.cwd();
const PAGE = resolve(CALLED_FROM, "demo.html");
/** Widest picture in the page, in pixels. */
const WIDTH = 640;

interface Result {
  readonly file: string;
  readonly caption: string;
}

async function main(args: readonly string[]): Promise<void> {
  const own = args.map((path) => resolve(CALLED_FROM, path));
  const files =
    own.length > 0
      ? own
      : (await readdir(PICTURES))
          .filter((name) => name.endsWith(".svg"))
          .sort()
          .map((name) => join(PICTURES, name));
  const device = await openDevice();
  try {
    const model = await ClipCap.load(device, await modelFolder());
    console.log(
      "Captioning. Where a software driver compiles the kernels for the first time, this takes some seconds.",
    );
    const results: Result[] = [];
    for (const file of files) {
      const [captions] = await model.caption([await decodeImage(file)]);
      const caption = captions![0]!.text;
      console.log(`${relative(CALLED_FROM, file)}: ${caption}`);
      results.push({ file, caption });
    }
    const about = `${model.files.manifest.name}, ${model.files.manifest.trainedOn ?? "unknown training"}`;
    await writeFile(PAGE, await page(results, about, device.adapter.description));
    console.log(`\nWrote ${relative(CALLED_FROM, PAGE)}: open it in a browser.`);
  } finally {
    device.close();
  }
}

const STYLE = `
main { display: grid; gap: 2rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); margin: 2rem 0; }
figure { margin: 0; }
img { display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: cover; border-radius: 0.4rem; }
figcaption { margin-top: 0.6rem; font-size: 1.05rem; }
small { display: block; color: var(--quiet); overflow-wrap: anywhere; }
footer { color: var(--quiet); font-size: 0.9rem; max-width: 46rem; }
`;

/** One file with everything in it. */
async function page(results: readonly Result[], model: string, adapter: string): Promise<string> {
  const body = html`<h1>What the model sees</h1>
<main>
${await Promise.all(results.map(figure))}
</main>
<footer>
<p>Captions by ${model}; computed with WebGPU on ${adapter}.</p>
<p>A small model knows what it was trained on and makes up the rest; larger models do better.</p>
</footer>`;
  return htmlPage({ title: "Captions by clipcap-webgpu", style: STYLE, body });
}

async function figure({ file, caption }: Result): Promise<Html> {
  const picture = sharp(file, { density: 96 }).autoOrient().resize({ width: WIDTH, withoutEnlargement: true });
  const jpeg = await picture.flatten({ background: "white" }).jpeg({ quality: 82 }).toBuffer();
  return html`<figure>
<img src="data:image/jpeg;base64,${jpeg.toString("base64")}" alt="${caption}">
<figcaption>${caption}<small>${basename(file)}</small></figcaption>
</figure>`;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof ClipCapError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
