import { type Html, html } from "../../pages/html.js";
import { dot } from "../../pages/series.js";
import type { PictureSamples } from "./run.js";
import type { Run } from "./summary.js";

/** Most pictures of a page, and most captions of one picture, those of all runs together: 200 bytes each. */
const MAX_PICTURES = 24;
const MAX_CAPTIONS = 48;

/** A picture and what each run said about it. */
interface Card {
  readonly id: string;
  readonly references: readonly string[];
  readonly thumbnail?: string;
  readonly runs: readonly { readonly run: number; readonly name: string; readonly captions: Captions }[];
}
type Captions = PictureSamples["captions"];

/** Pictures with their captions over time; a script lets the reader move through the steps. "" without samples. */
export function samplesSection(runs: readonly Run[]): Html | "" {
  const cards = cardsOf(runs);
  if (cards.length === 0) return "";
  return html`<section>
<h2>Captions over time</h2>
<form class="controls">
<label for="moment">Captions at step</label> <input type="range" id="moment" min="0" max="0" value="0">
<output for="moment"></output>
</form>
<div class="samples">
${cards.map((card) => sampleCard(card, runs.length > 1))}
</div>
</section>`;
}

function cardsOf(runs: readonly Run[]): Card[] {
  const cards = new Map<string, Card>();
  for (const [run, { name, pictures, thumbnails }] of runs.entries()) {
    for (const { id, references, captions } of pictures) {
      const before = cards.get(id) ?? { id, references, runs: [] };
      const thumbnail = before.thumbnail ?? thumbnails.get(id);
      cards.set(id, {
        ...before,
        thumbnail,
        runs: [...before.runs, { run, name, captions: thin(captions, MAX_CAPTIONS / runs.length) }],
      });
    }
  }
  return [...cards.values()].slice(0, MAX_PICTURES);
}

/** At most `most` captions, evenly and with the last. */
function thin(captions: Captions, most: number): Captions {
  const every = Math.ceil(captions.length / most);
  return captions.filter((_, i) => (captions.length - 1 - i) % every === 0);
}

function sampleCard({ id, references, thumbnail, runs }: Card, several: boolean): Html {
  const now = runs.map(
    ({ run, name, captions }) => html`<p class="now" data-run="${run}">
${several ? html`<small class="quiet">${dot(run)}${name}</small>` : ""}
<span class="caption">${captions.at(-1)?.caption ?? ""}</span></p>`,
  );
  const rows = runs.flatMap(({ run, captions }) =>
    captions.map(
      ({ step, caption }) =>
        html`<tr data-run="${run}" data-step="${step}"><td class="number quiet">${step}</td><td>${
          several ? dot(run) : ""
        }<span class="caption">${caption}</span></td></tr>`,
    ),
  );
  return html`<article class="sample card">
${thumbnail ? html`<img src="${thumbnail}" alt="${references[0] ?? id}">` : html`<div class="none quiet">no picture</div>`}
<div><h3>${id}</h3>
${now}
${
  references.length === 0
    ? ""
    : html`<details><summary class="quiet">References (${references.length})</summary>
<ul>${references.map((text) => html`<li>${text}</li>`)}</ul></details>`
}
<details><summary class="quiet">At all steps (${rows.length})</summary>
<table><tbody>${rows}</tbody></table></details>
</div></article>`;
}
