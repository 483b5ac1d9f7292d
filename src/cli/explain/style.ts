/** Style of the page, after that of all pages. `--a` is a share from 0 to 1. */
export const STYLE = `
:root { --heat: #ff5a1f; --bar: #2563c933; }
@media (prefers-color-scheme: dark) { :root { --heat: #ff8a3d; --bar: #7db0ff40; } }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }

h1 { font-size: clamp(1.6rem, 4.5vw, 2.6rem); margin: 0.3rem 0 0.6rem; }
h1 a {
  color: inherit; text-decoration: underline; text-decoration-thickness: 0.13em; text-underline-offset: 0.18em;
  text-decoration-color: color-mix(in srgb, var(--accent) calc(15% + 85% * var(--a)), transparent);
}
h1 a:hover { color: var(--accent); }
.key { font-size: 0.85rem; }
.lead { max-width: 46rem; margin-bottom: 1rem; }
.space { font-style: normal; font-size: 0.75em; color: var(--quiet); opacity: 0.7; }
figure { margin: 0; }
figcaption { margin-top: 0.35rem; font-size: 0.85rem; color: var(--quiet); }
figcaption b { color: var(--text); }

.shapes { display: flex; flex-wrap: wrap; gap: 0.3rem; margin: 0.8rem 0 0; padding: 0; list-style: none; font-size: 0.8rem; color: var(--quiet); }
.shapes + .shapes { margin-top: 0.3rem; }
.shapes li { padding: 0.1rem 0.6rem; border: 1px solid var(--line); border-radius: 1rem; }
.shapes b { font: 600 0.95em ui-monospace, monospace; color: var(--text); }
.shapes li + li::before { content: "→ "; }

.pictures { display: flex; flex-wrap: wrap; gap: 1.2rem; align-items: end; }
.pictures figure { width: min(100%, 24rem); }
.pictures img { display: block; width: 100%; max-height: 24rem; object-fit: contain; object-position: left bottom; border-radius: 0.3rem; }
.seen { position: relative; aspect-ratio: 1; background-size: 100% 100%; image-rendering: pixelated; border-radius: 0.3rem; overflow: clip; }
.seen svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.grid path { stroke: #fff; stroke-opacity: 0.75; stroke-width: 1.2px; fill: none; vector-effect: non-scaling-stroke; mix-blend-mode: difference; }
.faint { background-color: #777; background-blend-mode: luminosity; image-rendering: auto; }
.heat { shape-rendering: crispEdges; }
.heat rect { fill: var(--heat); opacity: 0.78; }
.heat rect:hover { stroke: #fff; stroke-width: 0.08; }

.layers { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(45%, 11rem), 1fr)); }
.layer figcaption { display: flex; flex-wrap: wrap; gap: 0 0.7rem; font-variant-numeric: tabular-nums; }
.layer figcaption b { flex-basis: 100%; }
.controls { margin: 0 0 0.8rem; font-size: 0.95rem; }
.controls select { font: inherit; padding: 0.25rem 0.5rem; color: var(--text); background: var(--card); border: 1px solid var(--line); border-radius: 0.4rem; }

.prefix th[scope="row"], .attention th[scope="row"] { color: var(--text); font-size: 0.95rem; }
.prefix td { white-space: nowrap; }
.prefix td[style] span { padding: 0.05rem 0.3rem; border-radius: 0.3rem; background: color-mix(in srgb, var(--accent) calc(60% * var(--a)), transparent); }
.prefix small { color: var(--quiet); }

.words { display: grid; gap: 0.8rem; margin: 0; padding: 0; list-style: none; grid-template-columns: repeat(auto-fill, minmax(min(100%, 13rem), 1fr)); }
.word { padding: 0.7rem 0.8rem; }
.word:target { outline: 2px solid var(--accent); }
.word h3 { font-size: 1.15rem; }
.word h3 .quiet { font-weight: 400; font-size: 0.8rem; }
.word .id { float: right; line-height: 1.8; }
.word ol { margin: 0.4rem 0 0; padding: 0; list-style: none; font-size: 0.9rem; }
.word ol li {
  display: flex; justify-content: space-between; gap: 0.5rem; margin-top: 2px; padding: 0.05rem 0.35rem; border-radius: 0.25rem;
  background: linear-gradient(to right, var(--bar) calc(100% * var(--a)), transparent 0);
}
.word ol span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.word ol b { font-weight: 400; color: var(--quiet); white-space: nowrap; font-variant-numeric: tabular-nums; }
.word .chosen span { font-weight: 700; }
.word .chosen b { color: var(--text); }

.attention { font-size: 0.82rem; border-collapse: separate; border-spacing: 2px; }
.attention th, .attention td { border: 0; padding: 0.15rem 0.3rem; vertical-align: middle; }
.attention th[scope="row"] { position: sticky; left: 0; padding-right: 0.6rem; background: var(--ground); }
.attention thead th { vertical-align: bottom; }
.attention .slot { min-width: 2.1rem; text-align: center; }
.attention .said { height: 5.2rem; padding: 0; writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; color: var(--text); }
.cell {
  height: 1.75rem; text-align: center; border-radius: 0.2rem;
  background: color-mix(in srgb, var(--heat) calc(min(80%, 260% * var(--a))), var(--card));
}

.tree { display: block; font-size: 13px; }
.tree text { text-anchor: middle; fill: currentColor; }
.tree .mean { font-size: 10.5px; fill: var(--quiet); }
.tree .root { fill: var(--quiet); }
.tree path { fill: none; stroke: var(--quiet); stroke-width: 1.3; }
.tree rect { fill: var(--card); stroke: var(--quiet); }
.tree .dies { opacity: 0.38; }
.tree path.wins { stroke: var(--accent); stroke-width: 3; }
.tree .wins rect { stroke: var(--accent); stroke-width: 2.5; }
.tree .wins text:not(.mean) { font-weight: 700; }
.tree .waits { stroke-dasharray: 2 5; }
.ends { margin-top: 1rem; }
.ends tbody tr:first-child td:first-child { font-weight: 700; }
.steps { margin-top: 0.6rem; font-size: 0.82rem; }
.steps td:nth-child(3), .steps td:nth-child(4) { font-family: ui-monospace, monospace; white-space: nowrap; }
footer { margin-top: 3rem; font-size: 0.9rem; max-width: 46rem; }
`;
