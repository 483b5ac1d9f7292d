import type { RgbImage } from "../../data/image/rgb.js";
import { htmlPage, pageScript } from "../../pages/node-page.js";
import { exactPicture, thumbnail } from "../../pages/node-thumbnail.js";
import { explanationBody } from "./body.js";
import type { ClassAttention, Explanation } from "./explanation.js";
import { STYLE } from "./style.js";

/** What the page's script reads. */
export interface PageData {
  readonly vision: readonly ClassAttention[];
  /** By word and layer. */
  readonly words: readonly (readonly (readonly number[])[])[];
  readonly prefixLength: number;
}

/** Pixels; the picture is shown 24 rem wide. */
const PHOTO_EDGE = 640;

/**
 * The page about one caption as one file that needs no network.
 * @param image the picture as it was given
 * @param seen in the model's size
 */
export async function explanationPage(e: Explanation, image: RgbImage, seen: RgbImage): Promise<string> {
  const data: PageData = {
    vision: e.vision,
    words: e.words.map(({ attention }) => attention),
    prefixLength: e.prefix.length,
  };
  return htmlPage({
    title: `${e.caption} – ${e.file}, explained`,
    style: `${STYLE}.seen { background-image: url(${await exactPicture(seen)}); }\n`,
    body: explanationBody(e, await thumbnail(image, PHOTO_EDGE)),
    scripts: [pageScript("./page.client.js", import.meta.url)],
    data,
  });
}
