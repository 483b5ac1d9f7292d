import { type ClipVision, clipVision } from "../../models/clip.js";
import type { Device } from "../../runtime/device.js";
import { Program } from "../../runtime/program.js";
import type { Tensor } from "../../runtime/tensor.js";
import { syntheticTensor } from "../../weights/synthetic.js";
import { timed } from "../node-timing.js";
import { countWork } from "./counts.js";
import { growing, turns } from "./growth.js";
import { amount, type Measurement, type Place, time } from "./measurement.js";
import { SEED } from "./networks.js";

/** The project's own limit for one image, in ms. */
const LIMIT_MS = 450;

export function pixelsOf(p: Program, { config: { imageSize } }: ClipVision, images: number): Tensor {
  const shape = [images, 3, imageSize, imageSize];
  const pixels = p.persistent("pixels", shape);
  p.device.write(pixels, syntheticTensor("pixel_values", shape, SEED, 1));
  return pixels;
}

/** CLIP's embeddings of batches of images: time and rate as the batch grows. */
export async function* encodeImages(
  device: Device,
  model: string,
  vision: ClipVision,
  points: readonly number[],
): AsyncGenerator<Measurement> {
  yield* growing(points, async (images) => {
    const program = new Program(device, "encode");
    try {
      const { embeds } = clipVision(program, vision, pixelsOf(program, vision, images));
      program.keep(embeds);
      await program.compile();
      const run = () => program.run({}, [embeds]).get();
      await run();
      const once = await timed(run, { warmup: 0, runs: 1 });
      const timing = await timed(run, { warmup: 0, runs: turns(once.median) });
      const subject = { what: "encode", model, how: images === 1 ? "1 image" : `batch ${images}` };
      const place: Place = { axis: "images", x: images, line: model };
      const found = [
        time({ ...subject, limit: images === 1 ? LIMIT_MS : undefined, place }, timing),
        amount({ ...subject, what: "images encoded", place }, (1000 * images) / timing.median, "images/s"),
        ...(images === 1 ? await countWork(device, subject, 1, run) : []),
      ];
      return { ms: timing.median, found };
    } finally {
      program.destroy();
    }
  });
}
