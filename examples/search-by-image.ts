/**
 * Which pictures look like this one? CLIP turns every picture into a vector; similar pictures have similar directions.
 *
 *     npx tsx examples/search-by-image.ts photo.jpg folder-of-photos
 */
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { ClipCap, decodeImage, modelFolder, openDevice } from "../src/node.js";

const query = process.argv[2] ?? "examples/pictures/black-dog-water.svg";
const folder = process.argv[3] ?? "examples/pictures";

const device = await openDevice();
try {
  const model = await ClipCap.load(device, await modelFolder("flickr8k-small"));
  const names = (await readdir(folder)).filter((name) => /\.(jpe?g|png|webp|svg)$/i.test(name));
  const files = names.map((name) => join(folder, name)).filter((file) => basename(file) !== basename(query));
  const images = await Promise.all([query, ...files].map((file) => decodeImage(file)));
  const [wanted, ...others] = (await model.embed(images)).map(unit);

  const hits = others.map((vector, i) => ({ file: files[i]!, likeness: dot(wanted!, vector) }));
  hits.sort((a, b) => b.likeness - a.likeness);
  for (const { file, likeness } of hits.slice(0, 5)) console.log(`${likeness.toFixed(3)}  ${file}`);
} finally {
  device.close();
}

/** The vector at length 1, so that a dot product is the cosine of the angle between two. */
function unit(v: Float32Array): Float32Array {
  const length = Math.sqrt(dot(v, v));
  return v.map((x) => x / length);
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + x * b[i]!, 0);
}
