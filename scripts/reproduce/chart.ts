import { type Html, html } from "../../src/pages/html.js";
import { VARIANTS } from "./experiment.js";
import type { ExperimentResult, Point, VariantResult } from "./result.js";

const PANEL = { width: 400, height: 280, left: 48, top: 40, gap: 60 };
const SIZE = { width: 2 * PANEL.width + PANEL.left + PANEL.gap + 20, height: PANEL.top + PANEL.height + 90 };
/** Blue and orange are told apart by most who see few colours, and stand out from white and from near-black. */
const COLOURS = { mlp: "#2f7fd6", transformer: "#d9770f" };
const TICKS = 5;

/** The card brings its own ground, since the page around it may be dark where the reader's system is light. */
const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #24292f; }
.ground { fill: #ffffff; } .grid { stroke: #d8dee4; } .axis { stroke: #57606a; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .ground { fill: #0d1117; } .grid { stroke: #30363d; } .axis { stroke: #8b949e; }
}
polyline { fill: none; stroke-width: 2; stroke-linejoin: round; }
.tuned { stroke-dasharray: none; } .frozen { stroke-dasharray: 6 4; }`;

interface Scale {
  readonly x: (epoch: number) => number;
  readonly y: (loss: number) => number;
  readonly epochs: readonly number[];
  readonly losses: readonly number[];
}

/** Training and validation losses by epoch as an SVG of its own; the same numbers give the same bytes. */
export function lossChart({ variants }: ExperimentResult): string {
  const points = variants.flatMap(({ training, validation }) => [...training, ...validation]);
  const scale = scaleOf(points);
  const panels = [
    { title: "training loss, nats a token", of: ({ training }: VariantResult) => training },
    { title: "validation loss", of: ({ validation }: VariantResult) => validation },
  ];
  const markup = html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img">
<title>Losses by epoch</title>
<style>${STYLE}</style>
<rect class="ground" width="${SIZE.width}" height="${SIZE.height}" rx="6"/>
${panels.map(({ title, of }, i) => panel(title, variants, of, scale, PANEL.left + i * (PANEL.width + PANEL.gap)))}
${variants.map(({ variant }, i) => legend(variant, i))}
</svg>
`;
  return markup.markup;
}

function panel(
  title: string,
  variants: readonly VariantResult[],
  pointsOf: (result: VariantResult) => readonly Point[],
  { x, y, epochs, losses }: Scale,
  left: number,
): Html {
  const { width, height, top } = PANEL;
  return html`<g transform="translate(${left} ${top})">
<text x="0" y="-16" font-weight="600">${title}</text>
${losses.map(
  (loss) => html`<line class="grid" x1="0" x2="${width}" y1="${y(loss)}" y2="${y(loss)}"/>
<text x="-8" y="${fixed(y(loss) + 4)}" text-anchor="end">${Number(loss.toFixed(4))}</text>
`,
)}
${epochs.map(
  (epoch) => html`<text x="${x(epoch)}" y="${height + 18}" text-anchor="middle">${Number(epoch.toFixed(4))}</text>
`,
)}
<line class="axis" x1="0" x2="${width}" y1="${height}" y2="${height}"/>
<text x="${width}" y="${height + 36}" text-anchor="end">epoch</text>
${variants.map((result) => curve(result, pointsOf(result), x, y))}
</g>`;
}

function curve({ variant }: VariantResult, points: readonly Point[], x: Scale["x"], y: Scale["y"]): Html {
  const { mapper, tuned } = VARIANTS[variant];
  const places = points.map(({ epoch, loss }) => ({ x: x(epoch), y: y(loss) }));
  return html`<polyline class="${tuned ? "tuned" : "frozen"}" stroke="${COLOURS[mapper]}" points="${places
    .map((place) => `${place.x},${place.y}`)
    .join(" ")}"/>
${places.map((place) => html`<circle cx="${place.x}" cy="${place.y}" r="2.5" fill="${COLOURS[mapper]}"/>`)}
`;
}

/** Two columns below the panels. */
function legend(variant: VariantResult["variant"], i: number): Html {
  const { mapper, tuned, title } = VARIANTS[variant];
  const [x, y] = [PANEL.left + 300 * (i % 2), PANEL.top + PANEL.height + 52 + 22 * Math.floor(i / 2)];
  return html`<line class="${tuned ? "tuned" : "frozen"}" stroke="${COLOURS[mapper]}" stroke-width="2" x1="${x}" x2="${x + 36}" y1="${y}" y2="${y}"/>
<text x="${x + 44}" y="${y + 4}">${title}</text>
`;
}

function scaleOf(points: readonly Point[]): Scale {
  const epochs = ticks(0, Math.max(...points.map(({ epoch }) => epoch)));
  const losses = ticks(Math.min(...points.map(({ loss }) => loss)), Math.max(...points.map(({ loss }) => loss)));
  const last = Math.max(...points.map(({ epoch }) => epoch));
  const [low, high] = [losses[0]!, losses.at(-1)!];
  return {
    x: (epoch) => fixed((PANEL.width * epoch) / last),
    y: (loss) => fixed(PANEL.height * (1 - (loss - low) / (high - low))),
    epochs: epochs.filter((epoch) => epoch <= last),
    losses,
  };
}

/** Round numbers from below `low` to above `high`. */
function ticks(low: number, high: number): number[] {
  const rough = Math.max(high - low, 1e-3) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough)!;
  const first = Math.floor(low / step);
  const count = Math.max(1, Math.ceil(high / step) - first);
  return Array.from({ length: count + 1 }, (_, i) => (first + i) * step);
}

function fixed(value: number): number {
  return Number(value.toFixed(1));
}
