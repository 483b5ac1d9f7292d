/**
 * The script of the page of end-to-end benchmarks: draws the curves. It is put into the page as it is, after uPlot, hence
 * JavaScript with types in comments. Texts go into the page as text, never as markup.
 */

/** @typedef {import("../measurement.js").Curves} Curves */

const { uPlot } = /** @type {{ uPlot: typeof import("uplot") }} */ (/** @type {unknown} */ (globalThis));
const dataElement = /** @type {HTMLElement} */ (document.getElementById("data"));
/** @type {readonly Curves[]} */
const charts = JSON.parse(dataElement.textContent ?? "");

/** @param {string} name */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** @param {number | null} value */
const figure = (value) => (value === null ? "" : String(Number(value.toPrecision(4))));

/** The lines of a chart on the points of all of them; null where a line has none. @param {Curves} chart */
function aligned({ lines }) {
  const x = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const y = lines.map((line) => x.map((at) => line.y[line.x.indexOf(at)] ?? null));
  return /** @type {import("uplot").AlignedData} */ ([x, ...y]);
}

/** @param {Curves} chart @param {HTMLElement} element */
function draw(chart, element) {
  const grid = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--quiet"), grid, ticks: grid };
  const data = aligned(chart);
  return new uPlot(
    {
      width: element.clientWidth,
      height: 280,
      // Both start at 0: a cost that grows with the work is then a straight line through the corner.
      scales: {
        x: { time: false, range: (_, _low, high) => [0, high] },
        y: { range: (_, _low, high) => [0, 1.05 * high] },
      },
      axes: [
        { ...axis, label: chart.axis, values: (_, ticks) => ticks.map(figure) },
        { ...axis, label: chart.unit, size: 64, values: (_, ticks) => ticks.map(figure) },
      ],
      series: [
        { label: chart.axis, value: (_, value) => figure(value) },
        ...chart.lines.map(({ name }, i) => ({
          label: name,
          stroke: colour(`--line-${i % 4}`),
          width: 2,
          spanGaps: true,
          points: { show: true, size: 7, fill: colour(`--line-${i % 4}`) },
          /** @param {unknown} _ @param {number | null} value */
          value: (_, value) => figure(value),
        })),
      ],
    },
    data,
    element,
  );
}

/** @type {import("uplot")[]} */
let plots = [];

function drawAll() {
  for (const plot of plots) plot.destroy();
  plots = charts.map((chart, i) => draw(chart, /** @type {HTMLElement} */ (document.getElementById(`chart-${i}`))));
}

drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
addEventListener("resize", () => {
  for (const plot of plots)
    plot.setSize({ width: /** @type {HTMLElement} */ (plot.root.parentElement).clientWidth, height: 280 });
});

export {};
