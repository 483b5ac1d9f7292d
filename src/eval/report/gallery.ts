import { createHash } from "node:crypto";
import { type Html, html } from "../../pages/html.js";
import { dot } from "../../pages/series.js";
import type { AttendedWord } from "../attention.js";
import type { EvalResult } from "../result.js";
import type { System } from "../scoring.js";
import { attentionDetails } from "./attention.js";

/** Of each kind: the best, the worst, and others drawn at random. */
const PHOTOS_OF_KIND = 16;
/** By which photos are chosen: it tells captions apart best. */
const RANKED_BY = "CIDEr-D";
/** Most references of a card. */
const MAX_REFERENCES = 8;

/** What the page has of images beside their scores, by number; of some it has none. */
export interface Seen {
  /** Data URIs. */
  readonly thumbnails: ReadonlyMap<number, string>;
  /** Of the first system's captions. */
  readonly attention: ReadonlyMap<number, readonly AttendedWord[]>;
}

/**
 * Which images the page shows, by number: the best and the worst of the first system, and some at random, which say most
 * about it. Random means by a hash of the id, so that it is the same everywhere.
 */
export function chooseShown({ set, systems }: Pick<EvalResult, "set" | "systems">): number[] {
  const scores = systems[0]!.metrics.find(({ name }) => name === RANKED_BY)!.perImage;
  const all = [...set.ids.keys()];
  const ranked = [...all].sort((a, b) => scores[b]! - scores[a]! || a - b);
  const hashes = set.ids.map((id) => createHash("sha256").update(id).digest("hex"));
  const shuffled = [...all].sort((a, b) => (hashes[a]! < hashes[b]! ? -1 : 1));
  const ends = new Set([...ranked.slice(0, PHOTOS_OF_KIND), ...ranked.slice(-PHOTOS_OF_KIND)]);
  const others = shuffled.filter((image) => !ends.has(image)).slice(0, PHOTOS_OF_KIND);
  const rank = new Map(shuffled.map((image, i) => [image, i]));
  return [...ends, ...others].sort((a, b) => rank.get(a)! - rank.get(b)!);
}

/** The photos in their random order; a script sorts them. */
export function gallery(result: EvalResult, shown: readonly number[], seen: Seen): Html {
  const { set, systems } = result;
  const names = systems[0]!.metrics.map(({ name }) => name);
  const chosen =
    shown.length === set.ids.length
      ? "All photos."
      : `${shown.length} of ${set.ids.length} photos: the best and the worst by ${RANKED_BY}, and some at random.`;
  return html`<section>
<h2>Photos</h2>
<form class="controls">
<fieldset aria-label="Order">
${["Random", "Best first", "Worst first"].map(
  (order, i) =>
    html`<label><input type="radio" name="order" value="${i}"${i === 0 ? html` checked` : ""}>${order}</label>`,
)}
</fieldset>
<label>by <select name="metric">
${names.map((name, i) => html`<option value="${i}"${name === RANKED_BY ? html` selected` : ""}>${name}</option>`)}
</select></label>
</form>
<p class="quiet key">${chosen}</p>
<div class="photos">
${shown.map((image) => card(result, image, seen))}
</div>
</section>`;
}

function card({ set, systems }: EvalResult, image: number, { thumbnails, attention }: Seen): Html {
  const picture = thumbnails.get(image);
  const words = attention.get(image);
  const id = set.ids[image]!;
  const references = set.references[image]!;
  const scores = systems[0]!.metrics.map(({ perImage }) => Number(perImage[image]!.toFixed(4)));
  return html`<article class="photo card" data-scores="${JSON.stringify(scores)}">
${
  picture === undefined
    ? html`<div class="none quiet">no picture</div>`
    : html`<img src="${picture}" loading="lazy" decoding="async" alt="${references[0]!}">`
}
<div>
${systems.map((system, i) => said(system, i, image, systems.length > 1))}
${words ? attentionDetails(words) : ""}
<ul class="quiet">${references.slice(0, MAX_REFERENCES).map((text) => html`<li>${text}</li>`)}</ul>
<h3 class="quiet">${id}</h3>
</div></article>`;
}

function said({ name, captions, metrics }: System, i: number, image: number, several: boolean): Html {
  const scores = metrics.filter((metric) => !/^BLEU-[1-3]$/.test(metric.name));
  return html`<p class="said">${several ? html`<small class="quiet">${dot(i)}${name}</small>` : ""}${
    captions[image] === "" ? html`<span class="quiet">(no words)</span>` : captions[image]!
  }</p>
<p class="scores quiet">${scores.map(
    (metric) => html`<span>${metric.name} <b>${metric.perImage[image]!.toFixed(2)}</b></span>`,
  )}</p>`;
}
