import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { decodeImage } from "../data/image/decode-node.js";
import { type Html, html } from "../pages/html.js";
import { htmlPage } from "../pages/node-page.js";
import { thumbnail } from "../pages/node-thumbnail.js";

export interface Hit {
  readonly file: string;
  /** Cosine. */
  readonly score: number;
}

/** Pixels. */
const THUMBNAIL_EDGE = 320;
/** All thumbnails of a page as base64; a hundred photos take 1.5 MB. */
const MAX_THUMBNAIL_CHARACTERS = 8_000_000;

const STYLE = `
.found { display: grid; gap: 0.9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.hit { margin: 0; padding: 0; overflow: clip; min-width: 0; }
.hit a { color: inherit; }
.hit img, .hit .none { display: grid; place-items: center; width: 100%; height: 12rem; object-fit: contain; background: var(--line); }
.hit figcaption { display: flex; justify-content: space-between; gap: 0.8rem; padding: 0.5rem 0.8rem; font-size: 0.85rem; }
.hit figcaption span { min-width: 0; overflow-wrap: anywhere; }
.hit b { font-variant-numeric: tabular-nums; }
.wanted { width: min(100%, 18rem); margin: 1rem 0 0; }
h1 + p { margin-bottom: 1.5rem; }
`;

/** A page with what was found, in one file; a click opens the picture where it lies. */
export async function searchPage(
  query: { readonly words: string } | { readonly like: string },
  hits: readonly Hit[],
  images: number,
): Promise<string> {
  let left = MAX_THUMBNAIL_CHARACTERS;
  const shown = async (file: string) => {
    const picture = left > 0 ? await decodeImage(file).catch(() => undefined) : undefined;
    const uri = picture && (await thumbnail(picture, THUMBNAIL_EDGE));
    left -= uri?.length ?? 0;
    return uri;
  };
  const wanted = "like" in query ? figure(query.like, await shown(query.like), undefined) : "";
  const figures: Html[] = [];
  for (const { file, score } of hits) figures.push(figure(file, await shown(file), score));
  const title = "like" in query ? `Like ${basename(query.like)}` : query.words;
  const body = html`<main>
<h1>${title}</h1>
${wanted === "" ? "" : html`<div class="wanted">${wanted}</div>`}
<p class="quiet">The ${hits.length} nearest of ${images} images, by the cosine of CLIP's vectors · clipcap search</p>
<div class="found">${figures}</div>
</main>`;
  return htmlPage({ title: `${title} – found`, body, style: STYLE });
}

function figure(file: string, picture: string | undefined, score: number | undefined): Html {
  return html`<figure class="hit card">
<a href="${pathToFileURL(resolve(file)).href}">${
    picture === undefined
      ? html`<span class="none quiet">no picture</span>`
      : html`<img src="${picture}" loading="lazy" decoding="async" alt="${basename(file)}">`
  }</a>
<figcaption><span class="quiet" title="${file}">${basename(file)}</span>${score === undefined ? "" : html`<b>${score.toFixed(3)}</b>`}</figcaption>
</figure>`;
}
