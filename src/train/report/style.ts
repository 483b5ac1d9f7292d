/** Style of the page, after that of all pages. The runs' colours differ in lightness as well as in hue. */
export const STYLE = `
:root {
  --run-0: #2563c9; --run-1: #c2570c; --run-2: #0b7d58; --run-3: #a63d8f;
  --run-4: #796a00; --run-5: #5b4bc4; --run-6: #b8324a; --run-7: #08738a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --run-0: #7db0ff; --run-1: #f7a35f; --run-2: #4cc38a; --run-3: #e88bd4;
    --run-4: #d1bb3f; --run-5: #afa3ff; --run-6: #f5858f; --run-7: #4bbcd4;
  }
}
.dot { display: inline-block; width: 0.7em; height: 0.7em; margin-right: 0.45em; border-radius: 50%; }
.run-0 { background: var(--run-0); } .run-1 { background: var(--run-1); }
.run-2 { background: var(--run-2); } .run-3 { background: var(--run-3); }
.run-4 { background: var(--run-4); } .run-5 { background: var(--run-5); }
.run-6 { background: var(--run-6); } .run-7 { background: var(--run-7); }

.runs th label { display: inline-flex; align-items: center; font-size: 1rem; color: var(--text); }
.runs tbody th { padding-right: 1.5rem; }
.runs input { margin: 0 0.5rem 0 0; accent-color: var(--accent); }

.controls {
  position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 1.5rem;
  padding: 0.6rem 0; background: var(--ground);
}
.controls fieldset { display: flex; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 0.5rem; overflow: clip; }
.controls fieldset label { position: relative; padding: 0.25rem 0.9rem; cursor: pointer; }
.controls fieldset input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
.controls fieldset label:has(:checked) { background: var(--text); color: var(--ground); }
.controls fieldset label:has(:focus-visible) { outline: 2px solid var(--accent); outline-offset: -2px; }
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
