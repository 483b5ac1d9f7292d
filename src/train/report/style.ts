/** Style of the page, after that of all pages and of series. */
export const STYLE = `
.runs th label { display: inline-flex; align-items: center; font-size: 1rem; color: var(--text); }
.runs tbody th { padding-right: 1.5rem; }
.runs input { margin: 0 0.5rem 0 0; accent-color: var(--accent); }

.controls input[type="range"] { flex: 1 1 6rem; min-width: 5rem; max-width: 40rem; accent-color: var(--accent); }
.controls output { font-variant-numeric: tabular-nums; font-weight: 600; }
.key { margin: 0 0 0.6rem; font-size: 0.85rem; }
@media (hover: none) { .key .mouse { display: none; } }

.charts { display: grid; gap: 0.9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
.chart { margin: 0; padding: 0.9rem 0.9rem 0.5rem; min-width: 0; }
.chart:first-child { grid-column: 1 / -1; }
.chart figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0.1rem 1rem; align-content: start; }
.charts.several .chart:not(:first-child) figcaption { min-height: 3rem; }
.chart .values { margin: 0; display: flex; flex-wrap: wrap; gap: 0 0.9rem; font-size: 0.82rem; font-variant-numeric: tabular-nums; }
.plot { height: 13rem; margin-top: 0.3rem; }
.chart:first-child .plot { height: 20rem; }
.u-cursor-pt { display: none; }
.u-hz .u-cursor-x { border-right: 1px solid var(--quiet); }
.u-select { background: var(--accent); opacity: 0.15; }

.samples { display: grid; gap: 0.9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); }
.sample { display: grid; gap: 0 1rem; grid-template-columns: 7rem 1fr; align-content: start; min-width: 0; }
.sample > div { min-width: 0; overflow-wrap: anywhere; }
.sample img, .sample .none {
  width: 7rem; height: 7rem; object-fit: contain; border-radius: 0.4rem; background: var(--ground); image-rendering: auto;
}
.sample .none { display: grid; place-items: center; font-size: 0.8rem; }
.sample h3 { font-size: 0.8rem; font-weight: 500; color: var(--quiet); }
.now { font-size: 1.05rem; line-height: 1.35; }
.now small { display: block; font-size: 0.8rem; }
.sample details { margin-top: 0.35rem; font-size: 0.9rem; }
.sample ul { margin: 0.3rem 0; padding-left: 1.1rem; }
.sample td { border: 0; padding-block: 0.1rem; }
details.card { margin-top: 0.6rem; }
details.card table { margin-top: 0.7rem; font-size: 0.88rem; }
@media (max-width: 30rem) {
  .sample { grid-template-columns: 5rem 1fr; }
  .sample img, .sample .none { width: 5rem; height: 5rem; }
  .chart:first-child .plot { height: 15rem; }
}
`;
