import { ClipCapError } from "../runtime/errors.js";
import { asObject, Fields, parseJsonObject } from "../weights/json-fields.js";

/** What a comparison needs of a report that `clipcap bench --json` wrote, of kernels or of whole models. */
export interface ComparedReport {
  readonly file: string;
  readonly adapter: string;
  readonly driver: string;
  readonly toggles: string;
  /** Digest of the measured choices of kernels; "" where the usual ones were taken, and in reports before there were any. */
  readonly tuned: string;
  readonly commit: string;
  readonly date: string;
  readonly gflops: number;
  readonly gbs: number;
  /** By their names. */
  readonly times: ReadonlyMap<string, Time>;
}

interface Time {
  /** Kernel, variant, shape and type; or what is measured, with which model, how, and the unit. */
  readonly name: readonly [string, string, string, string];
  readonly median: number;
  readonly best: number;
  readonly p95: number;
  /** False where the report says that the result was wrong. */
  readonly verified: boolean;
}

/** One time in both reports. */
export interface ComparedTime {
  readonly name: Time["name"];
  readonly a_ms: number;
  readonly b_ms: number;
  /** Time of b over time of a; the bounds are best over p95 and p95 over best. */
  readonly ratio: number;
  readonly low: number;
  readonly high: number;
  /** "alike" where the bounds hold 1, "wrong" where one of the results was. */
  readonly verdict: "faster" | "slower" | "alike" | "wrong";
}

export interface Comparison {
  /** Sentences about what else differs: where it does, times say little about the code. */
  readonly differences: readonly string[];
  readonly times: readonly ComparedTime[];
  readonly onlyA: readonly Time["name"][];
  readonly onlyB: readonly Time["name"][];
}

/** A benchmark of all kernels has 300 lines; this many is no benchmark. */
const MAX_RESULTS = 100_000;
const MAX_TEXT = 500;
/** A day. */
const MAX_MS = 86_400_000;
/** Peaks of one quiet machine agree better than that. */
const PEAKS_DIFFER = 1.1;

/** @throws ClipCapError `bad-input`, in one sentence, for whatever is no report. */
export function parseReport(file: string, text: string): ComparedReport {
  const top = new Fields(file, objectIn(file, text), "bad-input");
  const times = new Map<string, Time>();
  for (const time of timesOf(top)) {
    const key = JSON.stringify(time.name);
    if (times.has(key)) throw new ClipCapError("bad-input", `${file}: ${time.name.join(" ")} is there twice.`);
    times.set(key, time);
  }
  const peaks = top.object("peaks");
  return {
    file,
    adapter: line(top, "adapter"),
    driver: line(top, "driver"),
    toggles: togglesOf(top),
    tuned: top.values.tuned == null ? "" : line(top, "tuned"),
    commit: line(top, "commit"),
    date: line(top, "date"),
    gflops: peaks.float("gflops", undefined, Number.MIN_VALUE, 1e12),
    gbs: peaks.float("gbs", undefined, Number.MIN_VALUE, 1e12),
    times,
  };
}

function objectIn(file: string, text: string) {
  try {
    return parseJsonObject(file, text);
  } catch (cause) {
    throw new ClipCapError("bad-input", (cause as Error).message.replaceAll(/\p{Cc}/gu, " "), { cause });
  }
}

function timesOf(top: Fields): Time[] {
  const { results, measurements } = top.values;
  const list = results ?? measurements;
  if (!Array.isArray(list) || list.length > MAX_RESULTS) {
    throw new ClipCapError(
      "bad-input",
      `${top.where} is no benchmark: it has no list "results" of at most ${MAX_RESULTS} lines; clipcap bench --json FILE.json writes one.`,
    );
  }
  return list.flatMap((value, i) => {
    const where = `${top.where}: ${results ? "results" : "measurements"}[${i}]`;
    const fields = new Fields(where, asObject(where, value, "bad-input"), "bad-input");
    if (results) return [kernelTime(fields)];
    return fields.text("unit") === "ms" ? [modelTime(fields)] : []; // rates follow from times; bytes are no matter of speed
  });
}

function kernelTime(fields: Fields): Time {
  const median = fields.float("median_ms", undefined, Number.MIN_VALUE, MAX_MS);
  return {
    name: [line(fields, "kernel"), line(fields, "variant"), line(fields, "shape"), line(fields, "dtype")],
    median,
    best: fields.float("best_ms", median, Number.MIN_VALUE, median),
    p95: fields.float("p95_ms", median, median, MAX_MS),
    verified: fields.bool("verified", true),
  };
}

function modelTime(fields: Fields): Time {
  const median = fields.float("value", undefined, Number.MIN_VALUE, MAX_MS);
  // The first points of several curves are the same work.
  const curve = fields.values.place === undefined ? "" : `, by ${line(fields.object("place"), "axis")}`;
  return {
    name: [line(fields, "what"), line(fields, "model"), `${line(fields, "how")}${curve}`, "ms"],
    median,
    best: fields.float("best", median, Number.MIN_VALUE, median),
    p95: fields.float("p95", median, median, MAX_MS),
    verified: true,
  };
}

/** A text that may go to a terminal. */
function line(fields: Fields, key: string): string {
  const text = fields.text(key);
  if (text === undefined || text.length > MAX_TEXT || /\p{Cc}/u.test(text)) {
    throw fields.error(key, `a text of one line and at most ${MAX_TEXT} characters`);
  }
  return text;
}

function togglesOf(top: Fields): string {
  const { toggles } = top.values;
  const list = Array.isArray(toggles) ? toggles : undefined;
  if (!list?.every((t): t is string => typeof t === "string" && t.length <= MAX_TEXT && !/\p{Cc}/u.test(t))) {
    throw top.error("toggles", "a list of texts");
  }
  return list.join(" ");
}

/** The times of both reports, in the order of `a`. */
export function compareReports(a: ComparedReport, b: ComparedReport): Comparison {
  const missing = (from: ComparedReport, other: ComparedReport) =>
    [...from.times].filter(([key]) => !other.times.has(key)).map(([, time]) => time.name);
  return {
    differences: [...headDifferences(a, b)],
    times: [...a.times].flatMap(([key, time]) => {
      const other = b.times.get(key);
      return other ? [compareTimes(time, other)] : [];
    }),
    onlyA: missing(a, b),
    onlyB: missing(b, a),
  };
}

function compareTimes(a: Time, b: Time): ComparedTime {
  const [low, high] = [b.best / a.p95, b.p95 / a.best];
  const verdict = !(a.verified && b.verified) ? "wrong" : high < 1 ? "faster" : low > 1 ? "slower" : "alike";
  return { name: a.name, a_ms: a.median, b_ms: b.median, ratio: b.median / a.median, low, high, verdict };
}

function* headDifferences(a: ComparedReport, b: ComparedReport): Generator<string> {
  for (const [key, words] of [
    ["adapter", "adapter differs"],
    ["driver", "driver differs"],
    ["toggles", "toggles differ"],
    ["tuned", "kernels that clipcap tune chose differ"],
  ] as const) {
    if (a[key] !== b[key]) yield `The ${words}: ${a[key] || "none"}; ${b[key] || "none"}.`;
  }
  for (const [key, unit] of [
    ["gflops", "GFLOP/s"],
    ["gbs", "GB/s"],
  ] as const) {
    const ratio = a[key] / b[key];
    if (Math.max(ratio, 1 / ratio) < PEAKS_DIFFER) continue;
    yield `The measured peaks differ: ${a[key].toPrecision(3)} and ${b[key].toPrecision(3)} ${unit}; one machine may have been busy.`;
  }
}
