import type { Difference, Interval } from "../../metrics/bootstrap.js";
import type { Variety } from "../../metrics/variety.js";
import { type Html, html } from "../../pages/html.js";
import { dot } from "../../pages/series.js";
import type { EvalResult } from "../result.js";
import { RECALL_AT, type Recall } from "../retrieval.js";
import type { System } from "../scoring.js";
import { attentionFigure } from "./attention.js";
import { gallery, type Seen } from "./gallery.js";
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
${varietyTable(result)}
${result.retrieval ? retrievalTable(result.retrieval.imageToText, result.retrieval.textToImage) : ""}
${seen.attention.size === 0 ? "" : attentionSection(result, seen)}
${gallery(result, shown, seen)}
</main>`;
}

function scoreTable({ systems, comparisons }: EvalResult): Html {
  const [first] = systems;
  const row = (metric: number) => html`<tr><th scope="row">${first!.metrics[metric]!.name}</th>
${systems.map(({ metrics }, i) => {
  const { value, ci95 } = metrics[metric]!;
  return html`<td class="number"><strong>${value.toFixed(3)}</strong> <span class="quiet">${range(ci95)}</span></td>${
    i === 0 ? "" : differenceCell(comparisons[i - 1]!.metrics[metric]!)
  }`;
})}</tr>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Scores"><table>
<thead><tr><td></td>${systemHeads(systems)}</tr></thead>
<tbody>${first!.metrics.map((_, metric) => row(metric))}</tbody></table></div>`;
}

type Show = (value: number) => string;

function differenceCell({ difference, ci95, p }: Difference, show: Show = thousandths): Html {
  const sure = p < 0.05;
  const shown = `${difference < 0 ? "−" : "+"}${show(Math.abs(difference))}`;
  return html`<td class="number">${sure ? html`<strong>${shown}</strong>` : shown}
<span class="quiet">${range(ci95, show)} p ${p < 0.01 ? p.toPrecision(1) : p.toFixed(2)}</span></td>`;
}

type VarietyName = keyof Variety<unknown>;

function varietyTable({ systems, comparisons }: EvalResult): Html {
  const rows: readonly [name: string, count: VarietyName, show: Show][] = [
    ["Different captions", "distinctCaptions", percent],
    ["Not in the training captions", "novel", percent],
    ["Different words", "vocabulary", (value) => value.toFixed(0)],
    ["Distinct-1", "distinct1", thousandths],
    ["Distinct-2", "distinct2", thousandths],
    ["Words a caption", "words", (value) => value.toFixed(1)],
  ];
  const [first] = systems;
  const cells = (count: VarietyName, show: Show) =>
    systems.map(({ variety }, i) => {
      const [value, ci95] = [variety.value[count]!, variety.ci95[count]!];
      return html`<td class="number"><strong>${show(value)}</strong> <span class="quiet">${range(ci95, show)}</span></td>${
        i === 0 ? "" : differenceCell(comparisons[i - 1]!.variety[count]!, show)
      }`;
    });
  return html`<h2>Variety</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Variety"><table>
<thead><tr><td></td>${systemHeads(systems)}</tr></thead>
<tbody>${rows
    .filter(([, count]) => first!.variety.value[count] !== undefined)
    .map(
      ([name, count, show]) => html`<tr><th scope="row">${name}</th>${cells(count, show)}</tr>`,
    )}</tbody></table></div>
<p class="quiet key">Captions have ${systems
    .map(({ lengths: { shortest, longest } }) => `${shortest} to ${longest}`)
    .join(" and ")} words. Different words, pairs (distinct-2) and captions fall with the number of photos. A
photo drawn twice would count as a repetition of theirs, so their intervals come from how many were there once and twice.</p>`;
}

function systemHeads(systems: readonly System[]): Html[] {
  return systems.map(
    ({ name }, i) =>
      html`${systemHead(name, i, systems.length)}${
        i === 0 ? "" : html`<th scope="col" class="number">minus ${systems[0]!.name}</th>`
      }`,
  );
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

function range([low, high]: Interval, show: Show = thousandths): string {
  const plain = (end: number) => show(end).replace(" %", ""); // the number in front of the brackets has the unit
  const shown = [low, high].map((end) => (end < 0 ? `−${plain(-end)}` : plain(end)));
  return `[${shown.join(", ")}]`;
}

function thousandths(value: number): string {
  return value.toFixed(3);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
