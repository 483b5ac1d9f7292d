import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { topKernels } from "../kernels/decode/top.js";
import { layerNormKernels } from "../kernels/layernorm/layernorm.js";
import { matmulKernels } from "../kernels/matmul/variant.js";
import type { AdapterInfo } from "../runtime/adapter.js";
import type { Device } from "../runtime/device.js";
import { ClipCapError } from "../runtime/errors.js";
import { wgsl } from "../runtime/kernel.js";
import type { Tuned } from "../runtime/tuned.js";
import { asObject, Fields, parseJsonObject } from "../weights/json-fields.js";
import { fileError, writeAtomically } from "../weights/node-source.js";
import type { Found } from "./tune.js";

/** What was measured, and where. */
export interface TuneTable {
  readonly adapter: string;
  /** With its version; another driver compiles otherwise. */
  readonly driver: string;
  /** Digest of their texts: a changed kernel is neither as fast nor proved right. */
  readonly kernels: string;
  /** Of the last measurement, in ISO 8601. */
  readonly date: string;
  readonly results: readonly Found[];
}

const FORMAT = 1;
/** A table of 300 classes takes 50 KB. */
const MAX_BYTES = 2 ** 20;

/** The table of what was found now; a class that was not reached keeps what was found `earlier`. */
export function newTable(adapter: AdapterInfo, found: readonly Found[], earlier: readonly Found[] = []): TuneTable {
  const reached = new Set(found.map(({ of }) => of));
  const results = [...found, ...earlier.filter(({ of }) => !reached.has(of))];
  const { description: driver } = adapter;
  return { adapter: adapterName(adapter), driver, kernels: kernelsDigest(), date: new Date().toISOString(), results };
}

function adapterName({ vendor, architecture, device }: AdapterInfo): string {
  return [vendor, architecture, device].filter(Boolean).join(" ") || "unknown";
}

/** Where the table of an adapter lies. */
export function tableFile(adapter: AdapterInfo): string {
  const caches = process.env.XDG_CACHE_HOME || join(homedir(), ".cache");
  const name = adapterName(adapter)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 100);
  return join(caches, "clipcap-webgpu", "tune", `${name}.json`);
}

/** @throws ClipCapError `io`; then an earlier table is as it was */
export async function saveTable(file: string, table: TuneTable): Promise<void> {
  const text = `${JSON.stringify({ format: FORMAT, ...table }, null, 1)}\n`;
  await writeAtomically(file, (sink) => sink.write(new TextEncoder().encode(text)));
}

/** Removes a table; returns whether there was one. */
export async function removeTable(file: string): Promise<boolean> {
  const there = existsSync(file);
  await rm(file, { force: true }).catch((cause) => {
    throw fileError(file, cause);
  });
  return there;
}

/**
 * The table in a file, or undefined where there is none.
 * @throws ClipCapError `bad-input` where it is damaged, or does not belong to this device or these kernels; `io`
 */
export async function readTable(file: string, { adapter }: Pick<Device, "adapter">): Promise<TuneTable | undefined> {
  const text = await readText(file);
  if (text === undefined) return undefined;
  const table = parseTable(file, text);
  const other = (what: string) => new ClipCapError("bad-input", `${file} was measured ${what} and is not used`);
  if (table.adapter !== adapterName(adapter)) throw other(`on another adapter (${table.adapter})`);
  if (table.driver !== adapter.description) throw other(`with another driver (${table.driver})`);
  if (table.kernels !== kernelsDigest()) throw other("with other kernels than this version has");
  return table;
}

async function readText(file: string): Promise<string | undefined> {
  try {
    const { size } = await stat(file);
    if (size > MAX_BYTES) throw damaged(file, `${size} bytes are more than any table has`);
    return await readFile(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw fileError(file, cause);
  }
}

function parseTable(file: string, text: string): TuneTable {
  try {
    const f = new Fields(file, parseJsonObject(file, text), "bad-input");
    f.int("format", undefined, FORMAT, FORMAT);
    const { results } = f.values;
    if (!Array.isArray(results)) throw f.error("results", "a list");
    return {
      adapter: required(f, "adapter"),
      driver: required(f, "driver"),
      kernels: required(f, "kernels"),
      date: required(f, "date"),
      results: results.map((result, i) => parseFound(`${file}: results[${i}]`, result)),
    };
  } catch (cause) {
    if (!(cause instanceof ClipCapError)) throw cause;
    throw damaged(file, cause.message, cause);
  }
}

function damaged(file: string, why: string, cause?: Error): ClipCapError {
  const reason = why.replace(`${file}: `, "").replace(`${file} `, "").replace(/\.$/, "");
  return new ClipCapError("bad-input", `${file} is damaged (${reason}) and is not used`, {
    cause,
  });
}

function parseFound(where: string, value: unknown): Found {
  const f = new Fields(where, asObject(where, value, "bad-input"), "bad-input");
  const { wrong } = f.values;
  if (!Array.isArray(wrong) || !wrong.every(isPlain)) throw f.error("wrong", "names");
  return {
    of: required(f, "of"),
    shape: required(f, "shape"),
    usual: required(f, "usual"),
    chosen: required(f, "chosen"),
    speedup: f.float("speedup", undefined, 0, 1e9),
    wrong,
  };
}

/** What the terminal can be shown. */
function isPlain(value: unknown): value is string {
  return typeof value === "string" && !/\p{Cc}/u.test(value);
}

function required(f: Fields, key: string): string {
  const value = f.text(key);
  if (!isPlain(value)) throw f.error(key, "a text without control characters");
  return value;
}

/** What the table means to the choice of kernels: the classes where another variant than the usual one won. */
export function tunedOf({ results }: TuneTable): Tuned {
  const changed = results.filter(({ usual, chosen }) => chosen !== usual);
  const choices = Object.fromEntries(changed.map(({ of, chosen }) => [of, chosen]).sort());
  return { choices, digest: digest(JSON.stringify(choices)) };
}

/** Of the kernels that there is a choice of. Comments and spaces do not count: a build takes them out. */
function kernelsDigest(): string {
  const texts = [...matmulKernels(), ...layerNormKernels(), ...topKernels()].map(wgsl);
  return digest(texts.join("").replace(/\/\/[^\n]*|\s+/g, ""));
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
