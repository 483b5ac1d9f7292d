/** Style of the page, after that of all pages and of series. */
export const STYLE = `
.key { font-size: 0.85rem; max-width: 60rem; }
th[scope="row"] { font-size: 1rem; color: var(--text); padding-right: 1.5rem; }
thead td { border-bottom: 1px solid var(--line); }
.sides { display: grid; gap: 1rem 2.5rem; grid-template-columns: minmax(0, max-content) minmax(0, 28rem); align-items: start; }
.sides > * { min-width: 0; }
.stacked .spread { max-width: 28rem; margin-top: 1rem; }
.spread { margin: 0; }
.spread svg { display: block; width: 100%; height: auto; margin-top: 0.6rem; }
.spread text { fill: var(--quiet); font-size: 12px; }

.photos { display: grid; gap: 0.9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); }
.photo { padding: 0; overflow: clip; min-width: 0; }
.photo > div { padding: 0.7rem 0.9rem 0.8rem; overflow-wrap: anywhere; }
.photo img, .photo .none { display: block; width: 100%; height: 12rem; object-fit: contain; background: var(--line); padding: 0; }
.photo .none { display: grid; place-items: center; }
.said { margin: 0; font-size: 1.05rem; line-height: 1.35; }
.said small { display: block; font-size: 0.8rem; }
.scores { display: flex; flex-wrap: wrap; gap: 0 0.8rem; margin: 0.15rem 0 0.5rem; font-size: 0.78rem; font-variant-numeric: tabular-nums; }
.scores b { font-weight: 600; color: var(--text); }
.attention { font-size: 0.85rem; }
.attention summary { color: var(--quiet); font-size: 0.78rem; }
.attention ol { margin: 0.4rem 0; padding: 0; list-style: none; }
.attention li {
  display: flex; justify-content: space-between; gap: 0.5rem; margin-top: 2px; padding: 0 0.35rem; border-radius: 0.2rem;
  background: linear-gradient(to right, color-mix(in srgb, var(--series-0) 30%, transparent) calc(100% * var(--a)), var(--line) 0);
}
.attention b { font-weight: 400; font-variant-numeric: tabular-nums; white-space: nowrap; }
.attention p { color: var(--quiet); font-size: 0.78rem; }
.vectors { display: flex; gap: 2px; }
.vectors i { flex: 1; height: 1rem; border-radius: 0.15rem; background: color-mix(in srgb, var(--series-0) calc(100% * var(--a)), var(--line)); }
.spread .rest { fill: var(--line); }
.photo ul { margin: 0.4rem 0; padding-left: 1.1rem; font-size: 0.88rem; line-height: 1.4; }
.photo h3 { font-size: 0.75rem; font-weight: 400; color: var(--quiet); }
@media (max-width: 48rem) {
  .sides { grid-template-columns: minmax(0, 1fr); }
  .number .quiet { display: block; font-size: 0.82rem; }
  th[scope="row"] { padding-right: 0.8rem; font-size: 0.92rem; white-space: normal; }
}
`;
