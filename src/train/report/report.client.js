/**
 * The script of the training report: draws the curves and moves through the captions. It is put into the page as it is,
 * after uPlot, hence JavaScript with types in comments. Texts go into the page as text, never as markup.
 */

/** @typedef {import("./node-report.js").ReportData} ReportData */
/** @typedef {import("./charts.js").Chart} Chart */
/** @typedef {import("./charts.js").Columns} Columns */
/** @typedef {(number | null)[]} Values */
/**
 * One line of a chart.
 * @typedef {object} Line
 * @property {number} run
 * @property {"raw" | "smooth" | "dev"} kind
 * @property {Values} x
 * @property {Values} y
 */

const { uPlot } = /** @type {{ uPlot: typeof import("uplot") }} */ (/** @type {unknown} */ (globalThis));
const dataElement = /** @type {HTMLElement} */ (document.getElementById("data"));
/** @type {ReportData} */
const { charts, runs } = JSON.parse(dataElement.textContent ?? "");

/** Over this part of a curve the weight of a point in the smoothed line falls by half. */
const HALF_LIFE = 1 / 100;
/** Ticks of the time axis, in seconds. */
const TIMES = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800];

let axis = "step";
let logarithmic = false;
/** Runs that are not shown. @type {Set<number>} */
const hidden = new Set();
/** @type {import("uplot")[]} */
let plots = [];

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
/** @param {number} run */
const runColour = (run) => colour(`--series-${run % 8}`);

/** @param {number} value */
function figure(value) {
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(4)));
  return value.toExponential(1).replace("e+", "e").replace(".0e", "e");
}

/** @param {number} seconds */
function time(seconds) {
  if (seconds < 120) return `${Number(seconds.toPrecision(3))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  return minutes % 60 === 0
    ? `${minutes / 60} h`
    : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")} h`;
}

/**
 * Means weighted by 0.5^(distance / half-life) on both sides, so that a falling curve is not shown late.
 * @param {Values} values none of them null
 * @returns {Values}
 */
function smoothed(values) {
  const keep = 0.5 ** (1 / Math.max(1, values.length * HALF_LIFE));
  const before = runningSums(values, keep);
  const after = runningSums([...values].reverse(), keep).reverse();
  return values.map((value, i) => {
    const [sum, weight] = [0, 1].map((part) => (before[i]?.[part] ?? 0) + (after[i]?.[part] ?? 0));
    return (Number(sum) - Number(value)) / (Number(weight) - 1); // both sides hold the value itself
  });
}

/** Sum of the values so far and of their weights, which fade. @param {Values} values @param {number} keep */
function runningSums(values, keep) {
  let [sum, weight] = [0, 0];
  return values.map((value) => {
    sum = keep * sum + Number(value);
    weight = keep * weight + 1;
    return [sum, weight];
  });
}

/** @param {Chart} chart @returns {Line[]} */
function linesOf({ field, noisy }) {
  /** @type {Line[]} */
  const lines = [];
  for (const [run, { train, dev }] of runs.entries()) {
    if (hidden.has(run)) continue;
    const [x, y] = measured(train, field);
    if (noisy) lines.push({ run, kind: "raw", x, y });
    lines.push({ run, kind: "smooth", x, y: noisy ? smoothed(y) : y });
    const [devX, devY] = measured(dev, field);
    lines.push({ run, kind: "dev", x: devX, y: devY });
  }
  return lines.filter(({ x }) => x.length > 0);
}

/** The rows that have both a place on the axis and a value. @param {Columns} columns @param {string} field @returns {[Values, Values]} */
function measured(columns, field) {
  const [places, values] = [columns[axis] ?? [], columns[field] ?? []];
  const rows = [...values.keys()].filter((i) => values[i] !== null && (places[i] ?? null) !== null);
  return [rows.map((i) => places[i] ?? null), rows.map((i) => values[i] ?? null)];
}

/** @param {Line} line @returns {import("uplot").Series} */
function style({ run, kind }) {
  const stroke = runColour(run);
  if (kind === "raw") return { stroke: `${stroke}48`, width: 1, points: { show: false } };
  if (kind === "smooth") return { stroke, width: 2, points: { show: false } };
  return {
    stroke,
    width: 1,
    dash: [3, 4],
    points: { show: true, size: 7, fill: stroke, stroke: colour("--card"), width: 1 },
  };
}

/** Values of the lines at the cursor, or the last ones. @param {Element} output @param {Line[]} lines @param {number | null} at */
function readOut(output, lines, at) {
  output.replaceChildren();
  for (const { run, kind, x, y } of lines) {
    if (kind === "raw") continue;
    const i = at === null ? y.length - 1 : nearest(x, at);
    const value = y[i];
    if (value === null || value === undefined) continue;
    const item = document.createElement("span");
    const mark = document.createElement("span");
    mark.className = `dot series-${run % 8}`;
    item.append(mark, `${kind === "dev" ? "dev " : ""}${figure(value)}`);
    output.append(item);
  }
}

/** Index of the place nearest to `at`. @param {Values} places @param {number} at */
function nearest(places, at) {
  let best = 0;
  for (const [i, place] of places.entries()) {
    if (Math.abs(Number(place) - at) < Math.abs(Number(places[best]) - at)) best = i;
  }
  return best;
}

/** Short strokes at the foot of the first chart where something happened. @param {import("uplot")} plot */
function drawEvents(plot) {
  const { left, top, width, height } = plot.bbox;
  const size = 7 * devicePixelRatio;
  for (const [run, { train, events }] of runs.entries()) {
    if (hidden.has(run)) continue;
    plot.ctx.fillStyle = runColour(run);
    for (const { step } of events) {
      const place = axis === "step" ? step : train[axis]?.[nearest([...(train.step ?? [])], step)];
      if (place === null || place === undefined) continue;
      const x = plot.valToPos(place, "x", true);
      if (x < left || x > left + width) continue;
      plot.ctx.fillRect(x - 1, top + height - (run + 1) * size, 2, size);
    }
  }
}

/** @param {Chart} chart @param {HTMLElement} place @param {Element} output @param {boolean} first */
function draw(chart, place, output, first) {
  const lines = linesOf(chart);
  readOut(output, lines, null);
  place.replaceChildren();
  if (lines.length === 0) return;
  const tables = lines.map(({ x, y }) => /** @type {import("uplot").AlignedData} */ ([x, y]));
  const positive = lines.every(({ y }) => y.every((value) => Number(value) > 0));
  const look = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const font = "12px system-ui, sans-serif";
  plots.push(
    new uPlot(
      {
        width: place.clientWidth,
        height: place.clientHeight,
        padding: [10, 24, 0, 0],
        legend: { show: false },
        cursor: { sync: { key: "runs", scales: ["x", null] }, y: false, drag: { x: true, y: false } },
        scales: { x: { time: false }, y: { distr: logarithmic && chart.logarithmic && positive ? 3 : 1 } },
        axes: [
          {
            ...look,
            font,
            size: 34,
            space: 70,
            ...(axis === "seconds" ? { incrs: TIMES, values: (_, at) => at.map(time) } : {}),
          },
          { ...look, font, size: 46, values: (_, at) => at.map((value) => (value === null ? "" : figure(value))) },
        ],
        series: [{}, ...lines.map(style)],
        hooks: {
          draw: first ? [drawEvents] : [],
          setCursor: [
            ({ cursor: { left }, posToVal }) =>
              readOut(output, lines, left === undefined || left === null || left < 0 ? null : posToVal(left, "x")),
          ],
        },
      },
      uPlot.join(tables),
      place,
    ),
  );
}

function drawAll() {
  for (const plot of plots) plot.destroy();
  plots = [];
  for (const [i, figureElement] of document.querySelectorAll(".chart").entries()) {
    const chart = charts[i];
    const place = figureElement.querySelector(".plot");
    const output = figureElement.querySelector(".values");
    if (chart && output && place instanceof HTMLElement) draw(chart, place, output, i === 0);
  }
}

function fit() {
  for (const plot of plots) {
    const place = plot.root.parentElement;
    if (place) plot.setSize({ width: place.clientWidth, height: place.clientHeight });
  }
}

function listenToCurves() {
  for (const input of document.querySelectorAll("input")) {
    input.addEventListener("change", () => {
      if (input.name === "axis") axis = input.value;
      else if (input.name === "logarithmic") logarithmic = input.checked;
      else if (input.dataset.run !== undefined) hidden[input.checked ? "delete" : "add"](Number(input.dataset.run));
      else return;
      drawAll();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("resize", fit);
}

/** The slider shows in each card what the runs said at a step, or at the last one before it; the cards hold all of it. */
function listenToSlider() {
  const slider = document.getElementById("moment");
  const output = document.querySelector('output[for="moment"]');
  if (!(slider instanceof HTMLInputElement) || !output) return;
  /** @type {HTMLElement[]} */
  const rows = [...document.querySelectorAll("tr[data-step]")].filter((row) => row instanceof HTMLElement);
  const steps = [...new Set(rows.map((row) => Number(row.dataset.step)))].sort((a, b) => a - b);
  const show = () => {
    const step = steps[Number(slider.value)] ?? 0;
    output.textContent = String(step);
    slider.setAttribute("aria-valuetext", `step ${step}`);
    for (const now of document.querySelectorAll(".now")) {
      if (!(now instanceof HTMLElement)) continue;
      const own = [...(now.closest(".sample")?.querySelectorAll(`tr[data-run="${now.dataset.run}"]`) ?? [])];
      const row = own.findLast((one) => one instanceof HTMLElement && Number(one.dataset.step) <= step);
      const caption = now.querySelector(".caption");
      if (caption) caption.textContent = row?.querySelector(".caption")?.textContent ?? "–";
    }
  };
  slider.max = String(steps.length - 1);
  slider.value = slider.max;
  slider.addEventListener("input", show);
  show();
}

drawAll();
listenToCurves();
listenToSlider();
