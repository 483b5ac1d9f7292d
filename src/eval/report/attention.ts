import { type Html, html } from "../../pages/html.js";
import type { AttendedWord } from "../attention.js";

/** Words of a caption beyond this have no bar in the figure: few captions are longer. */
const MAX_WORDS = 20;
const SIZE = { width: 420, height: 150, foot: 18 };

/** How much of its attention the model left on the prefix, by the number of the word, mean over the captions shown. */
export function attentionFigure(captions: readonly (readonly AttendedWord[])[]): Html {
  const longest = Math.min(MAX_WORDS, Math.max(...captions.map(({ length }) => length)));
  const shares = Array.from({ length: longest }, (_, i) => mean(captions.flatMap((own) => own[i] ?? []).map(onPrefix)));
  const slot = SIZE.width / longest;
  const room = SIZE.height - SIZE.foot;
  return html`<figure class="card spread">
<figcaption><h3>Attention on the prefix</h3></figcaption>
<svg viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img" aria-label="Share of attention on the prefix by word: ${percent(shares[0]!)} for the first, ${percent(shares.at(-1)!)} for word ${longest}.">
<rect class="rest" width="${SIZE.width}" height="${room}"/>
${shares.map(
  (share, i) =>
    html`<rect class="series-0" x="${(i * slot + 1).toFixed(1)}" y="${(room * (1 - share)).toFixed(1)}" width="${(slot - 2).toFixed(1)}" height="${(room * share).toFixed(1)}"><title>word ${i + 1}: ${percent(share)}</title></rect>`,
)}
<text x="0" y="${SIZE.height - 3}">word 1: ${percent(shares[0]!)}</text>
<text x="${SIZE.width}" y="${SIZE.height - 3}" text-anchor="end">word ${longest}: ${percent(shares.at(-1)!)}</text>
</svg></figure>`;
}

/** One caption's: a bar for each word, and how the prefix vectors share what they got. */
export function attentionDetails(words: readonly AttendedWord[]): Html {
  const vectors = words[0]!.prefix.map((_, k) => mean(words.map(({ prefix }) => prefix[k]!)));
  const most = Math.max(...vectors);
  return html`<details class="attention"><summary>Attention on the prefix: ${percent(mean(words.map(onPrefix)))}</summary>
<ol>${words.map(
    (word) =>
      html`<li style="--a:${onPrefix(word).toFixed(3)}"><span>${word.text.trim()}</span><b>${percent(onPrefix(word))}</b></li>`,
  )}</ol>
<p>By prefix vector, mean of the words; the strongest got ${percent(most)}.</p>
<div class="vectors">${vectors.map(
    (share, k) => html`<i style="--a:${(share / most).toFixed(2)}" title="vector ${k + 1}: ${percent(share)}"></i>`,
  )}</div></details>`;
}

function onPrefix({ prefix }: AttendedWord): number {
  return prefix.reduce((sum, share) => sum + share, 0);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
