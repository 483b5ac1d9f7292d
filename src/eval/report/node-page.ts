import type { CaptionedImage } from "../../data/captions/dataset.js";
import { htmlPage, pageScript } from "../../pages/node-page.js";
import { thumbnail } from "../../pages/node-thumbnail.js";
import { SERIES_STYLE } from "../../pages/series.js";
import type { EvalResult } from "../result.js";
import { evalBody } from "./body.js";
import { chooseShown, type Seen } from "./gallery.js";
import { STYLE } from "./style.js";

/** Pixels; cards are 18 rem wide and photos in them 12 rem high. */
const THUMBNAIL_EDGE = 288;
/** All thumbnails of a page as base64: 48 photos take 500 KB. */
const MAX_THUMBNAIL_CHARACTERS = 1_000_000;

/** The page of an evaluation as one file that needs no network. @param images those of `result.set`, in its order */
export async function evalPage(
  result: EvalResult,
  images: readonly CaptionedImage[],
  attention: Seen["attention"],
): Promise<string> {
  const shown = chooseShown(result);
  const name = result.systems.map((system) => system.name).join(", ");
  return htmlPage({
    title: `${name} – evaluation`,
    style: SERIES_STYLE + STYLE,
    body: evalBody(result, shown, { thumbnails: await thumbnails(images, shown), attention }),
    scripts: [pageScript("./page.client.js", import.meta.url)],
  });
}

async function thumbnails(images: readonly CaptionedImage[], shown: readonly number[]): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  let left = MAX_THUMBNAIL_CHARACTERS;
  for (const image of shown) {
    const picture = await images[image]!.decode().catch(() => undefined); // it was read before; now it has gone
    if (!picture) continue;
    const uri = await thumbnail(picture, THUMBNAIL_EDGE);
    if (uri.length > left) break;
    found.set(image, uri);
    left -= uri.length;
  }
  return found;
}
