import { ClipCapError, type ErrorCode, shown } from "../runtime/errors.js";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Levels of lists and objects: what is read has some ten at most, and what walks it is recursive. */
const MAX_DEPTH = 100;

/** Parses a JSON object; throws "bad-weights" naming the file. */
export function parseJsonObject(file: string, text: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, "")); // what editors on Windows begin a file with
  } catch (cause) {
    throw new ClipCapError("bad-weights", `${file} is not valid JSON (${(cause as Error).message}).`, { cause });
  }
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) throw new ClipCapError("bad-weights", `${file} is nested more than ${MAX_DEPTH} deep.`);
    level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
  }
  return asObject(file, value);
}

/** `value` as an object, or "bad-weights". */
export function asObject(where: string, value: unknown, code: ErrorCode = "bad-weights"): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ClipCapError(code, `${where} must be a JSON object, not ${shown(value)}.`);
  }
  return value as JsonObject;
}

/** Checked access to the fields of a configuration; a missing or null field takes the fallback, where there is one. */
export class Fields {
  constructor(
    /** File and path, for messages: "clip/config.json: vision_config". */
    readonly where: string,
    readonly values: JsonObject,
    private readonly code: ErrorCode = "bad-weights",
  ) {}

  /** A whole number in [min, max]. */
  int(key: string, fallback?: number, min = 1, max = 100_000_000): number {
    return this.#number(key, fallback, `a whole number from ${min} to ${max}`, (value) => {
      return Number.isInteger(value) && value >= min && value <= max;
    });
  }

  /** A finite number in [min, max]. */
  float(key: string, fallback: number | undefined, min: number, max: number): number {
    return this.#number(key, fallback, `a number from ${min} to ${max}`, (value) => value >= min && value <= max);
  }

  bool(key: string, fallback: boolean): boolean {
    const value = this.values[key] ?? fallback;
    if (typeof value !== "boolean") throw this.error(key, "true or false");
    return value;
  }

  text(key: string): string | undefined {
    const value = this.values[key] ?? undefined;
    if (value !== undefined && typeof value !== "string") throw this.error(key, "a text");
    return value;
  }

  /** One of the given words. */
  word<T extends string>(key: string, words: readonly T[], fallback?: T): T {
    const value = this.values[key] ?? fallback;
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) throw this.error(key, `one of ${words.join(", ")}`);
    return word;
  }

  /** The object under `key`, empty when it is missing. */
  object(key: string): Fields {
    const where = `${this.where}: ${key}`;
    return new Fields(where, asObject(where, this.values[key] ?? {}, this.code), this.code);
  }

  error(key: string, expected: string): ClipCapError {
    return new ClipCapError(this.code, `${this.where}: "${key}" must be ${expected}, not ${shown(this.values[key])}.`);
  }

  #number(key: string, fallback: number | undefined, expected: string, fits: (value: number) => boolean): number {
    const value = this.values[key] ?? fallback;
    if (typeof value !== "number" || !fits(value)) throw this.error(key, expected);
    return value;
  }
}
