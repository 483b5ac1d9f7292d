/** One record of metrics.jsonl: its numeric fields by name, "step" always among them. */
export type Metrics = Readonly<Record<string, number>> & { readonly step: number };

export interface RunEvent {
  readonly step: number;
  readonly text: string;
}

/** Captions of one picture in the course of the training. */
export interface PictureSamples {
  readonly id: string;
  readonly references: readonly string[];
  /** Path of the thumbnail below the run's folder. */
  readonly picture?: string;
  /** By rising steps. */
  readonly captions: readonly { readonly step: number; readonly caption: string }[];
}

/** What metrics.jsonl says. */
export interface Curves {
  /** By rising steps. */
  readonly train: readonly Metrics[];
  readonly dev: readonly Metrics[];
  readonly events: readonly RunEvent[];
  /** Lines that are no complete record: a killed run may leave half of one. */
  readonly brokenLines: number;
}

/** Fields of a record that are its place, not a measurement. */
export const AXES: readonly string[] = ["step", "epoch", "seconds"];
/** Names of fields; also keeps out "__proto__". */
const FIELD = /^[a-z]\w*$/i;
/** More different fields than these are not a record of training. */
const MAX_FIELDS = 40;
/** Longest caption or reference that is shown, and how many references. */
const MAX_TEXT = 300;
const MAX_REFERENCES = 8;
const MAX_EVENTS = 1000;
const THUMBNAIL = /^samples\/[\w-]+\.png$/;

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads metrics.jsonl. A run that was resumed repeats the steps since its checkpoint: what comes later in the file counts.
 * Its clock may begin anew; "seconds" are made to go on from where they stood.
 */
export function parseMetrics(jsonLines: string): Curves {
  const { records, brokenLines } = parseLines(jsonLines);
  const kinds = { train: [] as Metrics[], dev: [] as Metrics[] };
  const events: RunEvent[] = [];
  let [clock, late] = [0, 0];
  for (const record of records) {
    const { kind, step, text } = record;
    if (kind === "event" && typeof text === "string") {
      while (events.length > 0 && events.at(-1)!.step > step) events.pop();
      if (events.length < MAX_EVENTS) events.push({ step, text: shorten(text) });
    } else if (kind === "train" || kind === "dev") {
      const metrics = numbers(record);
      if (metrics.seconds !== undefined) {
        late = Math.max(late, clock - metrics.seconds);
        clock = metrics.seconds + late;
      }
      const earlier = kinds[kind];
      while (earlier.length > 0 && earlier.at(-1)!.step >= step) earlier.pop();
      earlier.push(metrics.seconds === undefined ? metrics : { ...metrics, seconds: clock });
    }
  }
  return { ...kinds, events, brokenLines };
}

/** Reads samples.jsonl: the pictures in the order of their first appearance. */
export function parseSamples(jsonLines: string): PictureSamples[] {
  const pictures = new Map<string, PictureSamples & { readonly captions: { step: number; caption: string }[] }>();
  for (const { step, id, caption, references, picture } of parseLines(jsonLines).records) {
    if (typeof id !== "string" || typeof caption !== "string") continue;
    const before = pictures.get(id)?.captions.filter((sample) => sample.step < step) ?? [];
    pictures.set(id, {
      id,
      references: Array.isArray(references)
        ? references
            .filter((text) => typeof text === "string")
            .slice(0, MAX_REFERENCES)
            .map(shorten)
        : [],
      picture: typeof picture === "string" && THUMBNAIL.test(picture) ? picture : undefined,
      captions: [...before, { step, caption: shorten(caption) }],
    });
  }
  return [...pictures.values()];
}

function parseLines(jsonLines: string): { records: (Fields & { readonly step: number })[]; brokenLines: number } {
  const lines = jsonLines.split("\n").filter((line) => line.trim() !== "");
  const records = lines.map(parseRecord).filter((record) => record !== undefined);
  return { records, brokenLines: lines.length - records.length };
}

function parseRecord(line: string): (Fields & { readonly step: number }) | undefined {
  try {
    const record = JSON.parse(line);
    return Number.isFinite(record?.step) && record.step >= 0 ? record : undefined;
  } catch {
    return undefined;
  }
}

function numbers(record: Fields & { readonly step: number }): Metrics {
  const fields = Object.entries(record).filter(([name, value]) => FIELD.test(name) && Number.isFinite(value));
  return { ...Object.fromEntries(fields.slice(0, MAX_FIELDS) as [string, number][]), step: record.step };
}

function shorten(text: string): string {
  const characters = Array.from(text.slice(0, 2 * MAX_TEXT + 2));
  return characters.length > MAX_TEXT ? `${characters.slice(0, MAX_TEXT - 1).join("")}…` : text;
}
