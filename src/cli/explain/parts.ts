import { type Html, html } from "../../pages/html.js";
import type { Explanation } from "./explanation.js";

/** A share of one as people read it. */
export function percent(share: number): string {
  if (share < 0.001) return share === 0 ? "0 %" : "< 0.1 %";
  return `${share < 0.0995 ? (100 * share).toFixed(1) : Math.round(100 * share)} %`;
}

/** A logarithm of a probability, with a true minus sign. */
export function logarithm(value: number, digits: number): string {
  return value.toFixed(digits).replace("-", "−");
}

/** A token with its leading space and line ends made visible: " dog" and "dog" are two tokens. */
export function tokenMarkup(text: string): Html {
  const rest = text.replace(/^ /, "").replaceAll("\n", "↵");
  return html`${text.startsWith(" ") ? html`<i class="space">␣</i>` : ""}${rest}`;
}

/** A token where markup has no place, at most so many characters long. */
export function tokenLabel(text: string, characters: number): string {
  const shown = [...text.trim().replaceAll("\n", "↵")];
  return shown.length <= characters ? shown.join("") : `${shown.slice(0, characters - 1).join("")}…`;
}

/** The shapes of the values with these labels, as the run had them, where it had them. */
export function shapes({ steps }: Explanation, labels: Readonly<Record<string, string>>): Html {
  const found = Object.entries(labels).flatMap(([label, name]) => {
    const step = steps.findLast((one) => one.label === label);
    return step ? [html`<li>${name} <b>[${step.shape.join(", ")}]</b></li>`] : [];
  });
  return html`<ol class="shapes" aria-label="Shapes of the values on the way">${found}</ol>`;
}

export function section(title: string, lead: Html, content: Html): Html {
  return html`<section>
<h2>${title}</h2>
<div class="lead">${lead}</div>
${content}
</section>`;
}
