/**
 * A caption word by word, as its tokens are chosen, that can be stopped at any time (here: by Ctrl-C or after a minute).
 *
 *     npx tsx examples/stream.ts photo.jpg
 */
import { ClipCap, ClipCapError, decodeImage, modelFolder, openDevice } from "../src/node.js";

const file = process.argv[2] ?? "examples/pictures/brown-dog-grass.svg";

const interrupt = new AbortController();
process.once("SIGINT", () => interrupt.abort());
const signal = AbortSignal.any([interrupt.signal, AbortSignal.timeout(60_000)]);

const device = await openDevice();
try {
  const model = await ClipCap.load(device, await modelFolder("flickr8k-small"), { signal });
  const image = await decodeImage(file);
  // Sampling: another seed gives another caption. Leaving the loop early would stop the decoding as well.
  for await (const piece of model.stream(image, { temperature: 0.7, topP: 0.9, seed: 1, signal })) {
    process.stdout.write(piece);
  }
  console.log();
} catch (error) {
  if (!(error instanceof ClipCapError && error.code === "aborted")) throw error;
  console.log(" … stopped");
} finally {
  device.close();
}
