import { type Html, html } from "./html.js";

/** Colours below; a ninth thing has the first one's. */
const COLOURS = 8;

/** The class that gives a thing its colour. */
export function seriesClass(index: number): string {
  return `series-${index % COLOURS}`;
}

/** A spot of that colour before its name. */
export function dot(index: number): Html {
  return html`<span class="dot ${seriesClass(index)}"></span>`;
}

/**
 * Style of pages that lay several things side by side: `series-N`, which differ in lightness as well as in hue, and a bar of
 * controls that stays in sight.
 */
export const SERIES_STYLE = `
:root {
  --series-0: #2563c9; --series-1: #c2570c; --series-2: #0b7d58; --series-3: #a63d8f;
  --series-4: #796a00; --series-5: #5b4bc4; --series-6: #b8324a; --series-7: #08738a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --series-0: #7db0ff; --series-1: #f7a35f; --series-2: #4cc38a; --series-3: #e88bd4;
    --series-4: #d1bb3f; --series-5: #afa3ff; --series-6: #f5858f; --series-7: #4bbcd4;
  }
}
.dot { display: inline-block; width: 0.7em; height: 0.7em; margin-right: 0.45em; border-radius: 50%; }
.series-0 { background: var(--series-0); fill: var(--series-0); }
.series-1 { background: var(--series-1); fill: var(--series-1); }
.series-2 { background: var(--series-2); fill: var(--series-2); }
.series-3 { background: var(--series-3); fill: var(--series-3); }
.series-4 { background: var(--series-4); fill: var(--series-4); }
.series-5 { background: var(--series-5); fill: var(--series-5); }
.series-6 { background: var(--series-6); fill: var(--series-6); }
.series-7 { background: var(--series-7); fill: var(--series-7); }

.controls {
  position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; align-items: center; gap: 0.5rem 1.3rem;
  padding: 0.6rem 0; background: var(--ground);
}
.controls fieldset { display: flex; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 0.5rem; overflow: clip; }
.controls fieldset label { position: relative; padding: 0.25rem 0.9rem; cursor: pointer; }
.controls fieldset input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
.controls fieldset label:has(:checked) { background: var(--text); color: var(--ground); }
.controls fieldset label:has(:focus-visible) { outline: 2px solid var(--accent); outline-offset: -2px; }
.controls select { font: inherit; padding: 0.2rem 0.4rem; color: var(--text); background: var(--card); border: 1px solid var(--line); border-radius: 0.4rem; }
`;
