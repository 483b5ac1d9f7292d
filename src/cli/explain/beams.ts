import { type Html, html } from "../../pages/html.js";
import type { Beam, BeamTree, Explanation } from "./explanation.js";
import { logarithm, section, tokenLabel } from "./parts.js";

const COLUMN = 96;
const ROW = 46;
const NODE = { width: 78, height: 36 };
/** Characters that a node has room for. */
const LABEL = 10;

/** The search as a tree, and the captions that it ended with. Nothing without beams. */
export function beamSection({ beams }: Explanation): Html | "" {
  if (!beams) return "";
  const width = beams.captions.length;
  return section(
    "6 · The search",
    html`<p>Beam search keeps ${width} ${width === 1 ? "sentence" : "sentences"} at once. After each step all continuations of all
of them compete by the mean log-probability of their words, which stands under each word, and the best ${width} go on; the
best are on top. Faint branches died, a dotted line is a finished sentence that waits for the others, and the strong line
leads to the caption.</p>`,
    html`<div class="scroll card" tabindex="0" role="region" aria-label="Tree of the search">${treeDrawing(beams)}</div>
<div class="scroll"><table class="ends">
<thead><tr><th scope="col">Sentence at the end</th><th scope="col" class="number">Mean log-probability</th><th scope="col" class="number">Tokens</th></tr></thead>
<tbody>${beams.captions.map(
      ({ text, logprob, length }) =>
        html`<tr><td>${text}</td><td class="number">${logarithm(logprob / length, 3)}</td><td class="number">${length}</td></tr>`,
    )}</tbody></table></div>`,
  );
}

function treeDrawing({ steps }: BeamTree): Html {
  const [columns, rows] = [steps.length + 1, steps[0]!.length];
  const [width, height] = [columns * COLUMN, rows * ROW + 20];
  const nodes = steps.flatMap((beams, step) => beams.map((beam, slot) => ({ beam, step, slot })));
  // What leads on is drawn over what does not.
  const order = [...nodes].sort((a, b) => rank(a.beam) - rank(b.beam));
  return html`<svg class="tree" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img"
aria-label="${steps.length} steps of a search with ${rows} beams">
<text class="root" x="${NODE.width / 2}" y="${middle(0) + 4}">prefix</text>
${order.map(({ beam, step, slot }) => edge(beam, step, slot))}
${order.map(({ beam, step, slot }) => (beam.waits ? "" : node(beam, step, slot)))}
</svg>`;
}

function rank({ survives, wins }: Beam): number {
  return Number(survives) + Number(wins);
}

function edge(beam: Beam, step: number, slot: number): Html {
  const [from, to] = [middle(step === 0 ? 0 : beam.parent), middle(slot)];
  const x = step * COLUMN + NODE.width;
  // A beam that waits has no node: its line goes on through where that would be.
  const end = beam.waits ? html`H${x + COLUMN}` : "";
  const bend = (COLUMN - NODE.width) / 2;
  return html`<path class="${classes(beam)}" d="M${x} ${from}c${bend} 0 ${bend} ${to - from} ${2 * bend} ${to - from}${end}"/>`;
}

function node(beam: Beam, step: number, slot: number): Html {
  const x = (step + 1) * COLUMN;
  const y = middle(slot) - NODE.height / 2;
  const centre = x + NODE.width / 2;
  return html`<g class="${classes(beam)}"><title>${beam.text.trim()}: log-probability ${logarithm(beam.logprob, 3)} for ${beam.length} tokens</title>
<rect x="${x}" y="${y}" width="${NODE.width}" height="${NODE.height}" rx="7"/>
<text x="${centre}" y="${y + 16}">${tokenLabel(beam.text, LABEL)}</text>
<text class="mean" x="${centre}" y="${y + 30}">${logarithm(beam.logprob / beam.length, 2)}</text></g>`;
}

function middle(slot: number): number {
  return 10 + slot * ROW + ROW / 2;
}

function classes({ survives, wins, waits }: Beam): string {
  return `${wins ? "wins" : survives ? "survives" : "dies"}${waits ? " waits" : ""}`;
}
