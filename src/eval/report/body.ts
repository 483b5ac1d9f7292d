import type { Difference, Interval } from "../../metrics/bootstrap.js";
import { type Html, html } from "../../pages/html.js";
import type { EvalResult } from "../result.js";
import { RECALL_AT, type Recall } from "../retrieval.js";
import type { System } from "../scoring.js";
import { attentionFigure } from "./attention.js";
import { dot, gallery, type Seen } from "./gallery.js";
import { histogram } from "./histogram.js";

/** The page's content; all of it can be read without its script, which only sorts. */
export function evalBody(result: EvalResult, shown: readonly number[], seen: Seen): Html {
  const { set, systems, split, data, decoding, leftOut } = result;
  const references = set.references.reduce((sum, own) => sum + own.length, 0) / set.ids.length;
  return html`<header>
<h1>${systems.map(({ name }) => name).join(" and ")}</h1>
<p class="quiet">${set.ids.length} photos of ${data}, ${split} · ${Number(references.toFixed(1))} references each ·
${decoding} · written by clipcap-webgpu</p>
${
  leftOut.length === 0
    ? ""
    : html`<p class="card">${leftOut.length} photos could not be read and are in no score: ${leftOut.slice(0, 5).join(", ")}${
        leftOut.length > 5 ? " …" : ""
      }</p>`
}
</header>
<main>
<h2>Scores</h2>
<div class="${systems.length === 1 ? "sides" : "stacked"}">
${scoreTable(result)}
<div>${histogram(systems, "CIDEr-D")}</div>
</div>
<p class="quiet key">Brackets: 95 % intervals over photos (bootstrap). BLEU, ROUGE-L and CIDEr-D as coco-caption computes
them; CIDEr-D counts words over these photos alone and compares only on the same ones.</p>
${wordsTable(systems)}
${result.retrieval ? retrievalTable(result.retrieval.imageToText, result.retrieval.textToImage) : ""}
${seen.attention.size === 0 ? "" : attentionSection(result, seen)}
${gallery(result, shown, seen)}
</main>`;
}

function scoreTable({ systems, differences }: EvalResult): Html {
  const [first] = systems;
  const row = (metric: number) => html`<tr><th scope="row">${first!.metrics[metric]!.name}</th>
${systems.map(({ metrics }, i) => {
  const { value, ci95 } = metrics[metric]!;
  return html`<td class="number"><strong>${value.toFixed(3)}</strong> <span class="quiet">${range(ci95)}</span></td>${
    i === 0 ? "" : differenceCell(differences[i - 1]![metric]!)
  }`;
})}</tr>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Scores"><table>
<thead><tr><td></td>${systems.map(
    ({ name }, i) =>
      html`${systemHead(name, i, systems.length)}${
        i === 0 ? "" : html`<th scope="col" class="number">minus ${first!.name}</th>`
      }`,
  )}</tr></thead>
<tbody>${first!.metrics.map((_, metric) => row(metric))}</tbody></table></div>`;
}

function differenceCell({ difference, ci95, p }: Difference): Html {
  const sure = p < 0.05;
  const shown = `${difference < 0 ? "−" : "+"}${Math.abs(difference).toFixed(3)}`;
  return html`<td class="number">${sure ? html`<strong>${shown}</strong>` : shown}
<span class="quiet">${range(ci95)} p ${p < 0.01 ? p.toPrecision(1) : p.toFixed(2)}</span></td>`;
}

function wordsTable(systems: readonly System[]): Html {
  const rows: readonly [string, (system: System) => string][] = [
    ["Different captions", ({ diversity }) => percent(diversity.distinctCaptions)],
    ["Not in the training captions", ({ novel }) => (novel === undefined ? "–" : percent(novel))],
    ["Different words", ({ diversity }) => String(diversity.vocabulary)],
    ["Distinct-1", ({ diversity }) => diversity.distinct[0].toFixed(3)],
    ["Distinct-2", ({ diversity }) => diversity.distinct[1].toFixed(3)],
    ["Words a caption", ({ lengths: { mean, shortest, longest } }) => `${mean.toFixed(1)} (${shortest}–${longest})`],
  ];
  return html`<h2>Variety</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Variety"><table>
<thead><tr><td></td>${systems.map(({ name }, i) => systemHead(name, i, systems.length))}</tr></thead>
<tbody>${rows.map(
    ([name, of]) => html`<tr><th scope="row">${name}</th>
${systems.map((system) => html`<td class="number">${of(system)}</td>`)}</tr>`,
  )}</tbody></table></div>`;
}

function systemHead(name: string, system: number, systems: number): Html {
  return html`<th scope="col" class="number">${systems > 1 ? dot(system) : ""}${name}</th>`;
}

function retrievalTable(imageToText: Recall, textToImage: Recall): Html {
  const row = (name: string, { recall, ci95 }: Recall) => html`<tr><th scope="row">${name}</th>
${recall.map((value, i) => {
  const ends = ci95[i]!.map((end) => (100 * end).toFixed(1)).join("–");
  return html`<td class="number"><strong>${percent(value)}</strong> <span class="quiet">[${ends}]</span></td>`;
})}</tr>`;
  return html`<h2>Retrieval</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Retrieval"><table>
<thead><tr><td></td>${RECALL_AT.map((k) => html`<th scope="col" class="number">Recall at ${k}</th>`)}</tr></thead>
<tbody>${row("Photo to text", imageToText)}${row("Text to photo", textToImage)}</tbody></table></div>`;
}

function attentionSection({ systems }: EvalResult, { attention }: Seen): Html {
  return html`<section>
<h2>Attention</h2>
<div class="sides">
<div>
<p>When GPT-2 chooses a word, it attends to the prefix, which is all it knows of the photo, and to the words before. The bars
show how much of it the prefix got, word by word, mean of all layers and heads over ${attention.size} captions of
${systems[0]!.name}; each photo below has its own.</p>
<p class="quiet key">The first word has only the prefix to look at. Layers leave attention on the first vectors also when there
is nothing to fetch, so that a large share is no proof that the picture was used.</p>
</div>
${attentionFigure([...attention.values()])}
</div>
</section>`;
}

function range([low, high]: Interval): string {
  const shown = [low, high].map((end) => (end < 0 ? `−${Math.abs(end).toFixed(3)}` : end.toFixed(3)));
  return `[${shown.join(", ")}]`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
