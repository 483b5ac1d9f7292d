import { type Html, html } from "../../pages/html.js";
import type { Peaks } from "../peaks.js";
import type { KernelResult } from "../result.js";

const SIZE = { width: 900, height: 460, left: 62, right: 16, top: 14, bottom: 46 };

/** Decades of an axis, as powers of ten. */
interface Axis {
  readonly low: number;
  readonly high: number;
}

/**
 * Arithmetic per byte against arithmetic per second, both logarithmic, below the two ceilings that were measured: what
 * memory delivers, and what the multipliers do. A point for every result that computes; its row is the link.
 */
export function roofline(results: readonly KernelResult[], peaks: Peaks): Html {
  const points = results.flatMap((r, row) => (r.gflops > 0 ? [{ r, row, x: r.flops / r.bytes, y: r.gflops }] : []));
  points.sort((a, b) => Number(a.r.chosen) - Number(b.r.chosen)); // what the device chooses is drawn last, on top
  const ridge = peaks.gflops / peaks.gbs;
  const x = axisOf([...points.map((p) => p.x), ridge / 10, ridge * 10]);
  const y = axisOf([...points.map((p) => p.y), peaks.gflops]);
  const place = (at: number, axis: Axis, from: number, to: number) =>
    from + ((Math.log10(at) - axis.low) / (axis.high - axis.low)) * (to - from);
  const px = (v: number) => place(v, x, SIZE.left, SIZE.width - SIZE.right).toFixed(1);
  const py = (v: number) => place(v, y, SIZE.height - SIZE.bottom, SIZE.top).toFixed(1);
  // Left of the ridge memory is the ceiling; it leaves the plot where it is below the axis.
  const start = Math.max(10 ** x.low, 10 ** y.low / peaks.gbs);
  const roof = [
    [start, start * peaks.gbs],
    [ridge, peaks.gflops],
    [10 ** x.high, peaks.gflops],
  ].map(([a, b]) => `${px(a!)},${py(b!)}`);
  return html`<figure class="card roofline">
<svg viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img" aria-label="Roofline: ${points.length} results below ${peaks.gflops.toPrecision(4)} GFLOP/s and ${peaks.gbs.toPrecision(4)} GB/s.">
${decades(x).map((v) => html`<g class="grid"><line x1="${px(v)}" x2="${px(v)}" y1="${SIZE.top}" y2="${SIZE.height - SIZE.bottom}"/><text x="${px(v)}" y="${SIZE.height - SIZE.bottom + 18}" text-anchor="middle">${v}</text></g>`)}
${decades(y).map((v) => html`<g class="grid"><line x1="${SIZE.left}" x2="${SIZE.width - SIZE.right}" y1="${py(v)}" y2="${py(v)}"/><text x="${SIZE.left - 8}" y="${py(v)}" dy="0.35em" text-anchor="end">${v}</text></g>`)}
<text class="axis" x="${SIZE.width / 2}" y="${SIZE.height - 6}" text-anchor="middle">FLOP per byte</text>
<text class="axis" transform="translate(14 ${SIZE.height / 2}) rotate(-90)" text-anchor="middle">GFLOP/s</text>
<polyline class="roof" points="${roof.join(" ")}"/>
<text class="ceiling" x="${SIZE.width - SIZE.right - 6}" y="${py(peaks.gflops)}" dy="-6" text-anchor="end">${peaks.gflops.toPrecision(4)} GFLOP/s</text>
<text class="ceiling" x="${px(start)}" y="${py(start * peaks.gbs)}" dx="26" dy="4">${peaks.gbs.toPrecision(4)} GB/s</text>
${points.map(
  (p) =>
    html`<a href="#row-${p.row}"><circle class="${family(p.r)}${p.r.chosen ? "" : " other"}${p.r.verified ? "" : " wrong"}" cx="${px(p.x)}" cy="${py(p.y)}" r="5"><title>${nameOf(p.r)}: ${p.r.gflops.toPrecision(3)} GFLOP/s, ${(100 * p.r.of_peak).toFixed(0)} % of what this device can do</title></circle></a>`,
)}
</svg>
<figcaption>${FAMILIES.map(([name, words]) => html`<span><i class="${name}"></i>${words}</span>`)}<span class="quiet">hollow: a variant that this device does not choose</span></figcaption>
</figure>`;
}

export function nameOf({ kernel, variant, shape, dtype }: KernelResult): string {
  return `${kernel} ${variant}, ${shape}, ${dtype}`;
}

const FAMILIES = [
  ["matmul", "matmul"],
  ["attention", "attention"],
  ["others", "others"],
] as const;

function family({ kernel }: KernelResult): string {
  return kernel.startsWith("matmul") ? "matmul" : kernel.startsWith("attention") ? "attention" : "others";
}

/** Whole decades around the values. */
function axisOf(values: readonly number[]): Axis {
  const low = Math.floor(Math.log10(Math.min(...values)));
  return { low, high: Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values)))) };
}

function decades({ low, high }: Axis): number[] {
  return Array.from({ length: high - low + 1 }, (_, i) => Number(`1e${low + i}`));
}
