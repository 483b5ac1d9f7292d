/** What an embedder writes: open a device, load the small model by URL, caption, close. */
import { type Caption, ClipCap, decodeImage, openDevice, type RgbImage } from "../../src/index.js";
import { drawPicture } from "./picture.js";

export interface Captioned {
  readonly adapter: string;
  readonly captions: readonly Caption[];
  /** The first picture's caption as it was streamed. */
  readonly pieces: readonly string[];
  /** CLIP embedding of the first picture. */
  readonly embedding: readonly number[];
  /** SHA-256 of the second picture's decoded pixels. */
  readonly decoded: string;
  readonly progress: readonly number[];
  readonly usedAfterClose: number;
}

/** Captions of the drawn picture and of the PNG at `png`, greedy. */
export async function run({ model: url, png }: { model: string; png: string }): Promise<Captioned> {
  const device = await openDevice();
  const progress: number[] = [];
  const model = await ClipCap.load(device, url, { onProgress: ({ loaded, total }) => progress.push(loaded / total) });
  const decoded = await decodeImage(await (await fetch(png)).blob());
  const images: RgbImage[] = [drawPicture(), decoded];
  const captions = (await model.caption(images)).map((list) => list[0]!);
  const pieces: string[] = [];
  for await (const piece of model.stream(images[0]!)) pieces.push(piece);
  const [embedding] = await model.embed([images[0]!]);
  const adapter = device.adapter.description || device.adapter.vendor;
  device.close();
  return {
    adapter,
    captions,
    pieces,
    embedding: Array.from(embedding!),
    decoded: await sha256(decoded.data),
    progress: [progress[0]!, progress.at(-1)!],
    usedAfterClose: device.memory().used,
  };
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes)));
  return Array.from(hash, (b) => b.toString(16).padStart(2, "0")).join("");
}
