/** Scenes in a browser: what they are, how they look, what is said of them. */
import { sceneCaptions } from "../../src/data/scenes/captions.js";
import { makeScene } from "../../src/data/scenes/scene.js";
import { pinnedPixels } from "../unit/scenes.pixels.js";

export interface Drawn {
  /** SHA-256 of the pixels that the unit test pins. */
  readonly pixels: readonly string[];
  readonly captions: readonly (readonly string[])[];
}

/** The first `count` scenes' captions, and the pinned pixels. */
export async function run(count: number): Promise<Drawn> {
  const captions = Array.from({ length: count }, (_, i) => sceneCaptions(makeScene(1, i)));
  return { pixels: await Promise.all(pinnedPixels().map(sha256)), captions };
}

async function sha256(data: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data as Uint8Array<ArrayBuffer>));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
