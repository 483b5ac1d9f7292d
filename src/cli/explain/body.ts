import { type Html, html } from "../../pages/html.js";
import { beamSection } from "./beams.js";
import type { Explanation } from "./explanation.js";
import { percent, section, shapes, tokenMarkup } from "./parts.js";
import { attentionSection, wordsSection } from "./words.js";

/** The page's content. All of it can be read without its script, which shows single heads and layers. */
export function explanationBody(e: Explanation, photo: string): Html {
  return html`<header>
<p class="quiet">How ${e.model} came to describe ${e.file} as</p>
<h1>${sentence(e)}</h1>
<p class="quiet key">The stronger a word's line, the surer GPT-2 was of it. Choose a word to see what else it could have been.</p>
</header>
<main>
${pixelSection(e, photo)}
${visionSection(e)}
${prefixSection(e)}
${wordsSection(e)}
${attentionSection(e)}
${beamSection(e)}
${stepsSection(e)}
</main>
<footer class="quiet">
<p>Every number on this page was computed from values that were read back from ${e.beams ? "three" : "two"} runs of the
model, with WebGPU on ${e.adapter}: one that found the caption, one that looked inside it${e.beams ? ", and one that kept the beams" : ""}.
Written by clipcap-webgpu.</p>
</footer>`;
}

function sentence({ words }: Explanation): Html {
  return html`${words.map(
    ({ text, probability }, i) =>
      html`${text.startsWith(" ") ? " " : ""}<a href="#word-${i + 1}" style="--a: ${probability}" title="${percent(probability)}">${text.trim()}</a>`,
  )}`;
}

function pixelSection(e: Explanation, photo: string): Html {
  const { picture, imageSize: S, patchSize: P } = e;
  const side = S / P;
  const lines = Array.from({ length: side - 1 }, (_, i) => (i + 1) * P);
  return section(
    "1 · What the model gets",
    html`<p>CLIP takes pictures of one size only: ${picture.width} × ${picture.height} pixels became ${S} × ${S}. It cuts them
into ${side} × ${side} patches of ${P} × ${P} pixels, and each patch, ${3 * P * P} numbers in a row, becomes one vector: to a
transformer a picture is a sentence of ${side * side} words. One more vector, the class token, stands in front and collects
what the patches have to say.</p>`,
    html`<div class="pictures">
<figure><img src="${photo}" alt="The picture as it was given"><figcaption>The file</figcaption></figure>
<figure><div class="seen grid"><svg viewBox="0 0 ${S} ${S}" role="img" aria-label="The picture in the model's size, cut into ${side * side} patches">
${lines.map((at) => html`<path d="M${at} 0V${S}M0 ${at}H${S}"/>`)}
</svg></div><figcaption>What CLIP gets, and its patches</figcaption></figure>
</div>
<ol class="shapes" aria-label="The picture's shape"><li>pixels <b>[1, 3, ${S}, ${S}]</b></li></ol>
${shapes(e, {
  "clip.patches": "patches",
  "clip.patch_embedding": "one vector each",
  "clip.tokens": "with class token and positions",
})}`,
  );
}

function visionSection(e: Explanation): Html {
  const heads = e.vision[0]!.heads.length;
  const patches = (e.imageSize / e.patchSize) ** 2;
  return section(
    "2 · Where CLIP looks",
    html`<p>In each of its ${e.vision.length} layers every vector may fetch something from all others; attention says how much from
which. The maps show it for the class token, of which alone the picture's embedding is made. Bright patches get most; each
map has its own scale. Spread evenly, a patch would get ${percent(1 / (patches + 1))}.</p>
<p>A bright patch is where information was fetched, and not yet a reason for a word: the vectors of deeper layers have
themselves collected things from everywhere.</p>`,
    html`<div class="controls"><label>Show <select id="head">
<option value="mean">the mean of ${heads} heads</option>
${Array.from({ length: heads }, (_, h) => html`<option value="${h}">head ${h + 1}</option>`)}
</select></label></div>
<div class="layers">
${e.vision.map(({ mean }, layer) => heatMap(mean, layer))}
</div>
${shapes(e, {
  "clip.h0.qkv": "queries, keys and values of a layer",
  "clip.h0.attention": "what attention fetched",
  "clip.class_rows": "class token at the end",
  "clip.projection": "the picture's embedding",
})}`,
  );
}

function heatMap([itself, ...patches]: readonly number[], layer: number): Html {
  const side = Math.sqrt(patches.length);
  const most = Math.max(...patches);
  const cell = (share: number, i: number) =>
    html`<rect x="${i % side}" y="${Math.floor(i / side)}" width="1" height="1" fill-opacity="${(share / most).toFixed(3)}"><title>${percent(share)}</title></rect>`;
  return html`<figure class="layer">
<div class="seen faint"><svg class="heat" viewBox="0 0 ${side} ${side}" role="img" aria-label="Attention of the class token in layer ${layer + 1}">
${patches.map(cell)}
</svg></div>
<figcaption><b>Layer ${layer + 1}</b><span>strongest patch <output class="most">${percent(most)}</output></span>
<span>itself <output class="itself">${percent(itself!)}</output></span></figcaption>
</figure>`;
}

function prefixSection(e: Explanation): Html {
  const K = e.prefix.length;
  const all = e.prefix.map(({ length }) => length);
  const closest = e.prefix.flatMap(({ nearest }) => nearest).reduce((a, b) => (b.cosine > a.cosine ? b : a));
  const own = e.wordLengths
    ? html`; GPT-2's own vectors of this caption's words are ${figure(e.wordLengths[0])} to ${figure(e.wordLengths[1])} long`
    : "";
  return section(
    `3 · ${K} vectors instead of a picture`,
    html`<p>GPT-2 reads vectors of words, so the mapper turns the embedding into ${K} vectors in their place: the prefix. No
vocabulary contains them. The table names the five words whose vectors point most nearly the same way; a cosine of 1 is
the same direction, 0 has nothing in common.</p>
<p><b>What that means:</b> at most a hint of what a vector stirs in GPT-2. The closest of all here is
“${tokenMarkup(closest.text)}” with ${closest.cosine.toFixed(2)}. <b>What it does not mean:</b> that the vectors say these
words. In training nothing pulled them towards words; all that counted was that GPT-2 went on with the right caption, and
vectors far from every word serve that as well. These are ${figure(Math.min(...all))} to ${figure(Math.max(...all))} long${own}.</p>`,
    html`<div class="scroll" tabindex="0" role="region" aria-label="Prefix vectors"><table class="prefix">
<thead><tr><th scope="col">Vector</th><th scope="col" class="number">Length</th><th scope="col" colspan="5">Nearest words and cosines</th></tr></thead>
<tbody>${e.prefix.map(
      ({ length, nearest }, k) => html`<tr><th scope="row">${k + 1}</th><td class="number">${figure(length)}</td>
${nearest.map(
  ({ text, cosine }) =>
    html`<td style="--a: ${Math.max(0, cosine)}"><span>${tokenMarkup(text)}</span> <small>${cosine.toFixed(2)}</small></td>`,
)}</tr>`,
    )}</tbody></table></div>
${shapes(e, {
  "clip.projection": "embedding",
  "clip.normalised": "at length 1",
  "mapper.fc1": "inner layer",
  "mapper.fc2": "all vectors in a row",
  "mapper.linear": "spread out",
  "mapper.tokens": "with learned constants",
  "mapper.prefix": "what became of the constants",
})}`,
  );
}

function stepsSection({ steps, words }: Explanation): Html {
  const flops = steps.reduce((sum, step) => sum + step.flops, 0);
  return html`<section>
<h2>Everything the GPU was asked to do</h2>
<p class="lead">Picture and caption in one go: ${steps.length} dispatches of WGSL kernels, ${figure(flops / 1e9)} billion
operations, from pixels to the probabilities of ${words.length} words.</p>
<details class="card"><summary>All ${steps.length} dispatches</summary><div class="scroll"><table class="steps">
<thead><tr><th scope="col" class="number">#</th><th scope="col">What</th><th scope="col">Kernel</th><th scope="col">Writes</th>
<th scope="col" class="number">Million operations</th></tr></thead>
<tbody>${steps.map(
    ({ label, kernel, shape, flops }, i) => html`<tr><td class="number">${i + 1}</td><td>${label}</td><td>${kernel}</td>
<td>[${shape.join(", ")}]</td><td class="number">${flops === 0 ? "–" : figure(flops / 1e6)}</td></tr>`,
  )}</tbody></table></div></details>
</section>`;
}

/** Three digits. */
function figure(value: number): string {
  return String(Number(value.toPrecision(3)));
}
