import type { Interval } from "../metrics/bootstrap.js";

/** The first `left` columns to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], left = 1): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) => {
    const cells = row.map((cell, i) => (i < left ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)));
    return `  ${cells.join("  ")}`.trimEnd();
  });
}

/** Scores in tables have four digits. */
export function fixed(value: number): string {
  return value.toFixed(4);
}

export function signed(value: number): string {
  return `${value < 0 ? "-" : "+"}${fixed(Math.abs(value))}`;
}

export function range([low, high]: Interval, format = fixed): string {
  return `${format(low)} to ${format(high)}`;
}
