import type { Timing } from "../node-timing.js";
import { type ReportHead, round } from "../result.js";

export type Unit = "ms" | "images/s" | "tokens/s" | "MB" | "GFLOP" | "GFLOP/s" | "%" | "dispatches" | "submits";

/** Where a measurement stands on a curve: what grows, and on which of several lines. */
export interface Place {
  readonly axis: "images" | "beams" | "tokens" | "million parameters";
  readonly x: number;
  readonly line: string;
}

/** One number from the models at work. */
export interface Measurement {
  /** What was measured, such as "decode step". */
  readonly what: string;
  /** With which networks and weights. */
  readonly model: string;
  /** Decoding, batch, lengths. */
  readonly how: string;
  /** Of times the median. */
  readonly value: number;
  readonly unit: Unit;
  readonly p95?: number;
  readonly best?: number;
  /** Processor time of the process for one turn: on a CPU adapter the wall time of c free cores is at least this / c. */
  readonly cpu_ms?: number;
  /** Cores that other processes kept busy meanwhile. */
  readonly other_load?: number;
  readonly runs?: number;
  /** The limit that the project sets itself. */
  readonly limit?: number;
  readonly place?: Place;
}

export interface EndToEndReport extends ReportHead {
  /** Given where not everything was measured. */
  readonly pattern?: string;
  readonly interrupted?: boolean;
  readonly measurements: readonly Measurement[];
}

/** What a number is about, for `time` and `amount`. */
export type Subject = Pick<Measurement, "what" | "model" | "how" | "place" | "limit">;

export function time(subject: Subject, { median, p95, best, cpu, otherLoad, runs }: Timing): Measurement {
  return {
    ...subject,
    value: round(median),
    unit: "ms",
    p95: round(p95),
    best: round(best),
    cpu_ms: round(cpu),
    other_load: round(otherLoad, 2),
    runs,
  };
}

export function amount(subject: Subject, value: number, unit: Unit): Measurement {
  return { ...subject, value: round(value), unit };
}

/** A chart of the page: what grows with what. */
export interface Curves {
  readonly what: string;
  readonly unit: Unit;
  readonly axis: Place["axis"];
  readonly lines: readonly { readonly name: string; readonly x: readonly number[]; readonly y: readonly number[] }[];
}

/** The measurements that have a place, by what grows with what; a line needs two points to be one. */
export function curvesOf(measurements: readonly Measurement[]): Curves[] {
  const charts = new Map<string, { curves: Curves; lines: Map<string, [x: number, y: number][]> }>();
  for (const { what, unit, value, place } of measurements) {
    if (!place) continue;
    const key = `${what} ${unit} ${place.axis}`;
    const chart = charts.get(key) ?? { curves: { what, unit, axis: place.axis, lines: [] }, lines: new Map() };
    charts.set(key, chart);
    chart.lines.set(place.line, [...(chart.lines.get(place.line) ?? []), [place.x, value]]);
  }
  return [...charts.values()].flatMap(({ curves, lines }) => {
    const drawn = [...lines].filter(([, points]) => points.length > 1);
    const sorted = drawn.map(([name, points]) => {
      const inOrder = points.toSorted(([a], [b]) => a - b);
      return { name, x: inOrder.map(([x]) => x), y: inOrder.map(([, y]) => y) };
    });
    return sorted.length > 0 ? [{ ...curves, lines: sorted }] : [];
  });
}
