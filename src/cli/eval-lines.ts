import type { EvalResult } from "../eval/result.js";
import { RECALL_AT } from "../eval/retrieval.js";
import { fixed, range, signed, table } from "./table.js";

/** The result for a terminal. */
export function evalLines({ set, systems, differences, retrieval }: EvalResult): string[] {
  const lines: string[] = [];
  for (const [i, { name, metrics, diversity, lengths, captions }] of systems.entries()) {
    const against = differences[i - 1];
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
    const different = Math.round(diversity.distinctCaptions * captions.length);
    lines.push(...table(head, rows));
    const words = `${lengths.mean.toFixed(1)} words a caption (${lengths.shortest} to ${lengths.longest})`;
    lines.push(`${words}, ${diversity.vocabulary} different words, ${different} different captions`);
  }
  if (!retrieval) return lines;
  const ways = { "image to text": retrieval.imageToText, "text to image": retrieval.textToImage };
  const rows = Object.entries(ways).map(([way, { recall }]) => [way, ...recall.map(fixed)]);
  return [...lines, "", ...table(["retrieval", ...RECALL_AT.map((k) => `recall at ${k}`)], rows)];
}
