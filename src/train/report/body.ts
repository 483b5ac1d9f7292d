import { type Html, html } from "../../pages/html.js";
import { dot } from "../../pages/series.js";
import { type Chart, type Columns, columnsOf } from "./charts.js";
import { samplesSection } from "./samples.js";
import { type Run, type RunSummary, summarise } from "./summary.js";

/** Rows of the table of training records: the curves show the rest. */
const TABLE_ROWS = 40;
/** Longest configuration that is shown, in characters; one of clipcap train has some 2,000. */
const MAX_CONFIG = 20_000;
const AXIS_NAMES = { step: "Steps", epoch: "Epochs", seconds: "Time" };

/** The page's content. Everything can be read without scripts but the curves, whose numbers stand in tables. */
export function reportBody(runs: readonly Run[], charts: readonly Chart[]): Html {
  const [only] = runs.length === 1 ? runs : [];
  return html`<header>
<h1>${only ? only.name : `${runs.length} runs`}</h1>
<p class="quiet">Training report of clipcap-webgpu</p>
</header>
<main>
${runsTable(runs)}
${charts.length === 0 ? nothingYet(runs) : curvesSection(runs, charts)}
${samplesSection(runs)}
${charts.length === 0 ? "" : html`<h2>Numbers</h2>`}
${runs.map(numbersOf)}
${eventsOf(runs)}
<h2>Configuration</h2>
${runs.map(configOf)}
</main>`;
}

function nothingYet(runs: readonly Run[]): Html {
  const which = runs.length === 1 ? "This run has" : "These runs have";
  return html`<p class="card">${which} recorded nothing yet: metrics.jsonl holds no complete line. Curves appear here once
the first steps are done and the report is written anew.</p>`;
}

function runsTable(runs: readonly Run[]): Html {
  const choice = ({ name }: RunSummary, i: number) =>
    runs.length === 1
      ? html`${dot(i)}${name}`
      : html`<label><input type="checkbox" data-run="${i}" checked>${dot(i)}${name}</label>`;
  const row = (run: RunSummary, i: number) => html`<tr>
<th scope="row">${choice(run, i)}</th>
<td class="number"><strong>${figure(run.bestDevLoss)}</strong>${
    run.bestStep === undefined ? "" : html` <span class="quiet">at step ${run.bestStep}</span>`
  }</td>
<td class="number">${run.steps}</td>
<td class="number">${figure(run.epochs)}</td>
<td class="number">${run.seconds === undefined ? "–" : duration(run.seconds)}</td>
<td class="number">${figure(run.loss)}</td>
</tr>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Runs"><table class="runs" style="margin-top: 1.2rem">
<thead><tr><th scope="col">Run</th>
${["Best dev loss", "Steps", "Epochs", "Time", "Last loss"].map((name) => html`<th scope="col" class="number">${name}</th>`)}
</tr></thead>
<tbody>${runs.map(summarise).map(row)}</tbody></table></div>
${runs.map(({ name, brokenLines }) =>
  brokenLines === 0
    ? ""
    : html`<p class="quiet">${name}: ${brokenLines} incomplete ${brokenLines === 1 ? "line" : "lines"} of metrics.jsonl
left out.</p>`,
)}`;
}

function curvesSection(runs: readonly Run[], charts: readonly Chart[]): Html {
  const recorded = (field: string) => runs.some(({ train, dev }) => [...train, ...dev].some((one) => field in one));
  const choices = Object.entries(AXIS_NAMES).filter(([field]) => recorded(field));
  return html`<section>
<h2>Curves</h2>
<form class="controls">
<fieldset aria-label="Horizontal axis">
${choices.map(
  ([field, label], i) =>
    html`<label><input type="radio" name="axis" value="${field}"${i === 0 ? html` checked` : ""}>${label}</label>`,
)}
</fieldset>
<label><input type="checkbox" name="logarithmic"> Logarithmic losses</label>
</form>
<p class="quiet key">Thin: recorded · bold: smoothed · dots: dev<span class="mouse"> · drag to zoom, double-click for all</span></p>
<div class="charts${runs.length > 1 ? " several" : ""}">
${charts.map(({ field, title }) => {
  const description = `${title} by step. ${runs.map((run) => describe(run, field)).join(" ")}`;
  return html`<figure class="chart card" data-field="${field}">
<figcaption><h3>${title}</h3><p class="values"></p></figcaption>
<div class="plot" role="img" aria-label="${description}"></div>
</figure>`;
})}
</div>
</section>`;
}

/** A curve in words, for those who do not see it. */
function describe({ name, train, dev }: Run, field: string): string {
  const kinds = { train, dev };
  const sentences = Object.entries(kinds).flatMap(([kind, records]) => {
    const measured = records.filter((record) => record[field] !== undefined);
    if (measured.length === 0) return [];
    const [first, last] = [measured[0]!, measured.at(-1)!];
    return `${kind} from ${figure(first[field])} at step ${first.step} to ${figure(last[field])} at step ${last.step}`;
  });
  return sentences.length === 0 ? "" : `${name}: ${sentences.join("; ")}.`;
}

function numbersOf({ name, train, dev }: Run): Html[] {
  const tables = [
    { title: "on the dev set", columns: columnsOf(dev, TABLE_ROWS) },
    { title: "in training", columns: columnsOf(train, TABLE_ROWS) },
  ];
  return tables
    .filter(({ columns }) => Object.keys(columns).length > 0)
    .map(
      ({ title, columns }) =>
        html`<details class="card"><summary>${name} ${title}</summary>${numbersTable(columns)}</details>`,
    );
}

function numbersTable(columns: Columns): Html {
  const fields = Object.keys(columns);
  const row = (_: unknown, i: number) =>
    html`<tr>${fields.map((field) => html`<td class="number">${figure(columns[field]![i])}</td>`)}</tr>`;
  return html`<div class="scroll"><table>
<thead><tr>${fields.map((field) => html`<th scope="col" class="number">${field}</th>`)}</tr></thead>
<tbody>${columns.step!.map(row)}</tbody></table></div>`;
}

function eventsOf(runs: readonly Run[]): Html | "" {
  const events = runs.flatMap(({ name, events }) => events.map((event) => ({ name, ...event })));
  if (events.length === 0) return "";
  return html`<details class="card"><summary>Events (${events.length})</summary><div class="scroll"><table>
<thead><tr><th scope="col">Run</th><th scope="col" class="number">Step</th><th scope="col">What</th></tr></thead>
<tbody>${events.map(
    ({ name, step, text }) => html`<tr><td>${name}</td><td class="number">${step}</td><td>${text}</td></tr>`,
  )}</tbody></table></div></details>`;
}

function configOf({ name, config }: Run): Html {
  const text = config === undefined ? "config.json is missing or broken." : JSON.stringify(config, null, 2);
  const shown =
    text.length > MAX_CONFIG ? `${text.slice(0, MAX_CONFIG)}\n… ${text.length - MAX_CONFIG} more characters` : text;
  return html`<details class="card"><summary>${name}</summary><pre>${shown}</pre></details>`;
}

/** Four digits; "–" for what was not recorded. */
function figure(value: number | null | undefined): string {
  if (value === undefined || value === null) return "–";
  if (Number.isInteger(value)) return String(value);
  const magnitude = Math.abs(value);
  return magnitude < 1e-3 || magnitude >= 1e7 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

function duration(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (minutes < 2) return `${Math.round(seconds)} s`;
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
