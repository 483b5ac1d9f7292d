import { type Html, html } from "../../pages/html.js";
import { htmlPage } from "../../pages/node-page.js";
import { fixed, type KernelReport, type KernelResult } from "../result.js";
import { roofline } from "./roofline.js";

/** The page of a benchmark as one file that needs no network and no script. */
export function benchPage(report: KernelReport): string {
  const { adapter, driver, commit, date, results } = report;
  return htmlPage({
    title: `${adapter} – kernels`,
    style: STYLE,
    body: html`<main>
<h1>Kernels on ${adapter}</h1>
<p class="quiet">${driver} · ${commit} · ${date}${report.interrupted ? " · interrupted" : ""}</p>
${report.other_load > 0.2 ? html`<p class="warning">Other programs kept ${report.other_load} cores busy meanwhile: the times are too long.</p>` : ""}
<h2>Against this device’s limits</h2>
${roofline(results, report.peaks)}
<p class="quiet">Both ceilings were measured on this device: multiply-adds in registers, and the faster of two copies of 64 MB.
What stays in the processor’s caches may lie above the slope. Results that only move bytes have no place in the plot.</p>
<h2>All results</h2>
<p class="quiet">Times: ${report.clock}. A * marks what this device chooses by itself.</p>
<div class="scroll"><table>
<thead><tr>${HEAD.map(([title, kind]) => html`<th class="${kind}">${title}</th>`)}</tr></thead>
<tbody>${results.map(row)}</tbody>
</table></div>
<h2>Conditions</h2>
<pre>${JSON.stringify({ toggles: report.toggles, limits: report.limits, peaks: report.peaks }, null, 1)}</pre>
</main>`,
  });
}

const HEAD = [
  ["Kernel", ""],
  ["Variant", ""],
  ["Shape", ""],
  ["Type", ""],
  ["ms", "number"],
  ["p95", "number"],
  ["GPU ms", "number"],
  ["GFLOP/s", "number"],
  ["GB/s", "number"],
  ["Of peak", "number"],
  ["Right", ""],
] as const;

function row(r: KernelResult, index: number): Html {
  const numbers = [
    fixed(r.median_ms),
    fixed(r.p95_ms),
    r.gpu_ms === undefined ? "" : fixed(r.gpu_ms),
    r.gflops === 0 ? "" : r.gflops.toFixed(1),
    r.gbs.toFixed(1),
    `${(100 * r.of_peak).toFixed(0)} %`,
  ];
  return html`<tr id="row-${index}" class="${r.verified ? "" : "wrong"}"><td>${r.kernel}</td><td>${r.variant}${r.chosen ? " *" : ""}</td><td>${r.shape}</td><td>${r.dtype}</td>${numbers.map(
    (n) => html`<td class="number">${n}</td>`,
  )}<td>${r.verified ? "yes" : "NO"}</td></tr>`;
}

const STYLE = `
.roofline { margin: 0; }
.roofline svg { display: block; width: 100%; height: auto; }
.roofline text { fill: var(--quiet); font-size: 12px; }
.roofline .axis, .roofline .ceiling { fill: var(--text); }
.roofline .grid line { stroke: var(--line); }
.roofline .roof { fill: none; stroke: var(--text); stroke-width: 2; }
.roofline figcaption { display: flex; flex-wrap: wrap; gap: 0.2rem 1.4rem; font-size: 0.85rem; }
.roofline figcaption i { display: inline-block; width: 0.7rem; height: 0.7rem; margin-right: 0.4rem; border-radius: 50%; background: var(--mark); }
.roofline circle { fill: var(--mark); stroke: var(--mark); stroke-width: 1.5; }
.roofline circle.other { fill: var(--card); }
.roofline circle.wrong { stroke: #d33; stroke-width: 3; }
.roofline circle:hover, .roofline a:focus-visible circle { r: 8px; }
.matmul { --mark: #2563c9; } .attention { --mark: #b3541e; } .others { --mark: #2f8f5b; }
@media (prefers-color-scheme: dark) {
  .matmul { --mark: #7db0ff; } .attention { --mark: #f0a06a; } .others { --mark: #7ed3a3; }
}
tr:target td { background: color-mix(in srgb, var(--accent) 18%, transparent); }
tr.wrong td, .warning { color: #d33; }
`;
