/**
 * From a photo to a caption: the shortest program.
 *
 *     npx tsx examples/caption-file.ts photo.jpg
 */
import { ClipCap, decodeImage, modelFolder, openDevice } from "../src/node.js";

const file = process.argv[2] ?? "examples/pictures/black-dog-water.svg";

const device = await openDevice();
try {
  // The model that ships with the package; a path to a model folder works as well.
  const model = await ClipCap.load(device, await modelFolder("flickr8k-small"));
  // One list for each image, with its captions, the best first.
  const [captions] = await model.caption([await decodeImage(file)], { beam: 3, num: 3 });
  for (const { text, meanLogprob } of captions!) console.log(`${meanLogprob.toFixed(2)}  ${text}`);
} finally {
  device.close(); // frees the model too, and lets the process end
}
