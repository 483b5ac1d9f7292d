import { type Html, html } from "../../pages/html.js";
import { seriesClass } from "../../pages/series.js";
import type { System } from "../scoring.js";

const BINS = 20;
const SIZE = { width: 420, height: 150, foot: 18 };

/** How a metric is spread over the photos; the last bin takes what lies beyond the axis, which ends at 98 %. */
export function histogram(systems: readonly System[], name: string): Html {
  const scores = systems.map(({ metrics }) => metrics.find((metric) => metric.name === name)!.perImage);
  const sorted = scores.flat().sort((a, b) => a - b);
  const end = Math.max(sorted[Math.floor(0.98 * (sorted.length - 1))]!, 1e-3);
  const counts = scores.map((values) => binned(values, end));
  const most = Math.max(...counts.flat());
  const slot = SIZE.width / BINS;
  const bar = (slot - 2) / systems.length;
  const bars = counts.flatMap((own, system) =>
    own.map((count, bin) => {
      const height = ((SIZE.height - SIZE.foot) * count) / most;
      const x = bin * slot + system * bar;
      return html`<rect class="${seriesClass(system)}" x="${x.toFixed(1)}" y="${(SIZE.height - SIZE.foot - height).toFixed(1)}" width="${bar.toFixed(1)}" height="${height.toFixed(1)}"/>`;
    }),
  );
  const middle = sorted[Math.floor(sorted.length / 2)]!.toFixed(2);
  return html`<figure class="card spread">
<figcaption><h3>${name} of the photos</h3></figcaption>
<svg viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img" aria-label="Histogram of ${name} over photos; median ${middle}.">
${bars}
<text x="0" y="${SIZE.height - 3}">0</text>
<text x="${SIZE.width}" y="${SIZE.height - 3}" text-anchor="end">${end.toFixed(2)} and more</text>
</svg></figure>`;
}

function binned(values: readonly number[], end: number): number[] {
  const counts = new Array<number>(BINS).fill(0);
  for (const value of values) counts[Math.min(BINS - 1, Math.floor((BINS * value) / end))]!++;
  return counts;
}
