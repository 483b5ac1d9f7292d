import { type Html, html } from "../../../pages/html.js";
import { htmlPage, pageScript } from "../../../pages/node-page.js";
import { plotLibrary } from "../../../pages/node-plot.js";
import { type Curves, curvesOf, type EndToEndReport, type Measurement } from "../measurement.js";

/** The page of an end-to-end benchmark as one file that needs no network. Tables hold every number of the curves. */
export function endToEndPage(report: EndToEndReport): string {
  const { adapter, driver, commit, date, measurements } = report;
  const charts = curvesOf(measurements);
  const plot = plotLibrary();
  return htmlPage({
    title: `${adapter} – end to end`,
    style: plot.style + STYLE,
    scripts: charts.length > 0 ? [plot.script, pageScript("curves.client.js", import.meta.url)] : [],
    data: charts,
    body: html`<main>
<h1>Captions and training on ${adapter}</h1>
<p class="quiet">${driver} · ${commit} · ${date}${report.interrupted ? " · interrupted" : ""}</p>
${report.other_load > 0.2 ? html`<p class="warning">Other programs kept ${report.other_load} cores busy meanwhile: the times are too long.</p>` : ""}
${charts.length > 0 ? html`<h2>Cost as work grows</h2><div class="charts">${charts.map(chartCard)}</div>` : ""}
<h2>All numbers</h2>
<p class="quiet">Times are medians of wall times; “cpu” is the processor time of the process for one turn.</p>
${[...byModel(measurements)].map(([model, rows]) => modelTable(model, rows))}
<h2>Conditions</h2>
<pre>${JSON.stringify({ toggles: report.toggles, limits: report.limits, peaks: report.peaks }, null, 1)}</pre>
</main>`,
  });
}

function chartCard({ what, unit, axis, lines }: Curves, i: number): Html {
  const words = lines.map(
    ({ name, x, y }) => `${name}: ${y[0]} ${unit} at ${x[0]}, ${y.at(-1)} ${unit} at ${x.at(-1)}`,
  );
  return html`<figure class="card"><figcaption><h3>${what} in ${unit} by ${axis}</h3></figcaption>
<div class="plot" id="chart-${i}" role="img" aria-label="${`${what} by ${axis}. ${words.join("; ")}.`}"></div></figure>`;
}

function byModel(measurements: readonly Measurement[]): Map<string, Measurement[]> {
  const models = new Map<string, Measurement[]>();
  for (const m of measurements) models.set(m.model, [...(models.get(m.model) ?? []), m]);
  return models;
}

const HEAD = ["p95", "best", "cpu", "limit"];

function modelTable(model: string, rows: readonly Measurement[]): Html {
  return html`<h3>${model}</h3><div class="scroll"><table>
<thead><tr><th scope="col">What</th><th scope="col">How</th><th scope="col" class="number">Value</th><th scope="col"></th>
${HEAD.map((title) => html`<th scope="col" class="number">${title}</th>`)}</tr></thead>
<tbody>${rows.map(tableRow)}</tbody></table></div>`;
}

function tableRow({ what, how, value, unit, p95, best, cpu_ms, limit }: Measurement): Html {
  const numbers = [p95, best, cpu_ms, limit].map((n) => html`<td class="number">${n ?? ""}</td>`);
  const over = limit !== undefined && value > limit;
  return html`<tr class="${over ? "warning" : ""}"><td>${what}</td><td>${how}</td><td class="number">${value}</td><td>${unit}</td>${numbers}</tr>`;
}

const STYLE = `
:root { --line-0: #2563c9; --line-1: #b3541e; --line-2: #2f8f5b; --line-3: #8a4fbf; }
@media (prefers-color-scheme: dark) {
  :root { --line-0: #7db0ff; --line-1: #f0a06a; --line-2: #7ed3a3; --line-3: #c8a2ee; }
}
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(26rem, 100%), 1fr)); gap: 1rem; }
.charts figure { margin: 0; min-width: 0; overflow: hidden; }
.u-legend { display: block; font-size: 0.85rem; }
.u-legend .u-series { display: block; text-align: left; }
.u-legend .u-label { display: inline; white-space: normal; overflow-wrap: anywhere; }
main > h3 { margin-top: 1.6rem; }
.warning, .warning td { color: #d33; }
`;
