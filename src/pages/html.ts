/** Markup: made by `html` and `trusted` only, so that whatever else stands in a page was escaped. */
export class Html {
  constructor(readonly markup: string) {}
}

export type Part = string | number | Html | readonly Part[];

/**
 * Markup from a template: `` html`<p title="${title}">${text}</p>` ``. Strings and numbers are escaped, for content and for
 * quoted attributes alike; markup stays as it is; lists are joined.
 */
export function html(template: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(template.map((text, i) => text + (i < parts.length ? markup(parts[i]!) : "")).join(""));
}

function markup(part: Part): string {
  if (part instanceof Html) return part.markup;
  if (typeof part === "object") return part.map(markup).join("");
  return String(part).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/**
 * A value as JSON for a script element of the type application/json, which ends at the first `</script>` whatever the
 * JSON says about quotes: "<" is therefore written as an escape, which only strings can hold.
 */
export function jsonMarkup(value: unknown): Html {
  return new Html(JSON.stringify(value).replaceAll("<", "\\u003c"));
}
