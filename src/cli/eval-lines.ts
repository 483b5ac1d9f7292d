import type { EvalResult } from "../eval/result.js";
import { RECALL_AT } from "../eval/retrieval.js";
import { show } from "../metrics/captions.js";
import { fixed, range, signed, table } from "./table.js";

/** Images that are left out, by name; more would hide the scores. */
const NAMED = 5;

/** The result for a terminal. */
export function evalLines({ set, leftOut, systems, comparisons, retrieval }: EvalResult): string[] {
  const lines: string[] = leftOut.length > 0 ? [leftOutLine(leftOut), ""] : [];
  for (const [i, { name, metrics, variety, lengths, captions }] of systems.entries()) {
    const against = comparisons[i - 1]?.metrics;
    if (i > 0) lines.push("");
    lines.push(`${name}: ${set.ids.length} images`);
    const head = [
      "",
      "score",
      "95 % interval",
      ...(against ? [`minus ${systems[0]!.name}`, "95 % interval", "p"] : []),
    ];
    const rows = metrics.map((metric, m) => {
      const other = against?.[m];
      const difference = other ? [signed(other.difference), range(other.ci95, signed), other.p.toPrecision(2)] : [];
      return [metric.name, fixed(metric.value), range(metric.ci95), ...difference];
    });
    const different = Math.round(variety.value.distinctCaptions * captions.length);
    lines.push(...table(head, rows));
    const words = `${lengths.mean.toFixed(1)} words a caption (${lengths.shortest} to ${lengths.longest})`;
    lines.push(`${words}, ${variety.value.vocabulary} different words, ${different} different captions`);
  }
  if (!retrieval) return lines;
  const ways = { "image to text": retrieval.imageToText, "text to image": retrieval.textToImage };
  const rows = Object.entries(ways).map(([way, { recall }]) => [way, ...recall.map(fixed)]);
  return [...lines, "", ...table(["retrieval", ...RECALL_AT.map((k) => `recall at ${k}`)], rows)];
}

/** scores.json names all of them. */
function leftOutLine(ids: readonly string[]): string {
  const more = ids.length > NAMED ? ` and ${ids.length - NAMED} more` : "";
  return `left out, since they could not be read: ${ids.slice(0, NAMED).map(show).join(", ")}${more}`;
}
