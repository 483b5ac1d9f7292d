import { type Html, html } from "../../pages/html.js";
import type { ChosenWord, Explanation } from "./explanation.js";
import { logarithm, percent, section, shapes, tokenLabel, tokenMarkup } from "./parts.js";

/** Digits at which the decoder's sum and this page's are compared. */
const LOGPROB_DIGITS = 3;

/** Each word with its probability and what else it could have been. */
export function wordsSection(e: Explanation): Html {
  const sum = e.words.reduce((total, { probability }) => total + Math.log(probability), 0);
  const vocabulary = e.steps.findLast(({ label }) => label === "gpt2.logits")!.shape.at(-1)!;
  return section(
    "4 · One word at a time",
    html`<p>After the prefix GPT-2 gives each of its ${vocabulary} tokens a probability, one is chosen, put behind the others, and
the next round begins. ${
      e.beams
        ? "Beam search may take a less probable word where the whole sentence gains by it."
        : "Greedy decoding takes the most probable one each time."
    } A token is a word, a part of one or a sign; ␣ is the space before it.</p>
<p>The logarithms of the chosen probabilities add up to ${logarithm(sum, LOGPROB_DIGITS)}. The decoder, which went word by word
with a cache, found ${logarithm(e.logprob, LOGPROB_DIGITS)} for the same sentence.</p>`,
    html`<ol class="words">${e.words.map(card)}</ol>
${shapes(e, {
  "gpt2.positions": "prefix and words",
  "gpt2.h0.qkv": "queries, keys and values of a layer",
  "gpt2.choosing": "places that choose",
  "gpt2.logits": "scores of all tokens",
})}`,
  );
}

function card({ token, text, probability, alternatives }: ChosenWord, i: number): Html {
  const isChosen = (one: { text: string; probability: number }) => one.text === text && one.probability === probability;
  const rows = alternatives.some(isChosen) ? alternatives : [...alternatives, { text, probability }];
  return html`<li class="card word" id="word-${i + 1}">
<h3><span class="quiet">${i + 1}</span> ${tokenMarkup(text)} <span class="quiet id">token ${token}</span></h3>
<ol>${rows.map(
    (
      one,
    ) => html`<li${isChosen(one) ? html` class="chosen"` : ""} style="--a: ${one.probability}"><span>${tokenMarkup(one.text)}</span>
<b>${percent(one.probability)}</b></li>`,
  )}</ol>
</li>`;
}

/** What each choice attended to: rows are words, columns the prefix and the words before. */
export function attentionSection(e: Explanation): Html {
  const layers = e.words[0]!.attention.length;
  const K = e.prefix.length;
  const before = e.words.slice(0, -1);
  const prefixShare = e.words.map(({ attention }) => total(meanOf(attention).slice(0, K)));
  const [first, last] = [prefixShare[0]!, prefixShare.at(-1)!];
  return section(
    "5 · What each choice looked at",
    html`<p>Picture and words so far lie in one row, and the place that chooses a word attends to everything up to itself. Averaged
over all layers and heads, the prefix got ${percent(first)} for the first word and ${percent(last)} for the last. A row adds up
to 100 %. GPT-2's layers often leave much of it on the first vectors when there is nothing to fetch, so that a bright first
column says little about the picture.</p>`,
    html`<div class="controls"><label>Show <select id="layer">
<option value="mean">the mean of ${layers} layers</option>
${Array.from({ length: layers }, (_, layer) => html`<option value="${layer}">layer ${layer + 1}</option>`)}
</select></label></div>
<div class="scroll" tabindex="0" role="region" aria-label="Attention of each choice"><table class="attention">
<thead><tr><th scope="col">Choosing</th><th scope="col" class="number">prefix</th>
${e.prefix.map((_, k) => html`<th scope="col" class="slot">${k + 1}</th>`)}
${before.map(({ text }) => html`<th scope="col" class="slot said">${tokenLabel(text, 9)}</th>`)}</tr></thead>
<tbody>${e.words.map((word, i) => attentionRow(word, i, K, K + before.length))}</tbody></table></div>`,
  );
}

function attentionRow({ text, attention }: ChosenWord, i: number, K: number, columns: number): Html {
  const shares = meanOf(attention);
  const cells = shares.map(
    (share) =>
      html`<td class="cell" style="--a: ${share.toFixed(3)}">${share < 0.005 ? "" : Math.round(100 * share)}</td>`,
  );
  const empty = columns - shares.length;
  return html`<tr data-word="${i}"><th scope="row">${tokenMarkup(text)}</th>
<td class="number prefix-share">${percent(total(shares.slice(0, K)))}</td>${cells}${
    empty > 0 ? html`<td colspan="${empty}" class="later"></td>` : ""
  }</tr>`;
}

function meanOf(layers: readonly (readonly number[])[]): number[] {
  return layers[0]!.map((_, t) => total(layers.map((layer) => layer[t]!)) / layers.length);
}

function total(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
