import { readFile } from "node:fs/promises";
import { ClipCapError } from "../runtime/errors.js";
import { asObject, Fields, parseJsonObject } from "./json-fields.js";

/** A model that `clipcap fetch` knows. */
export interface HubModel {
  readonly name: string;
  readonly kind: "clip" | "gpt2";
  /** owner/name on the hub. */
  readonly repo: string;
  readonly revision: string;
  readonly files: readonly string[];
  /** Weight files, best first: the first that the repository has is fetched. */
  readonly weights: readonly string[];
}

const MANIFEST = new URL("../../weights/manifest.json", import.meta.url);

/** weights/manifest.json by name. */
export async function hubModels(): Promise<ReadonlyMap<string, HubModel>> {
  const where = "weights/manifest.json";
  const root = new Fields(where, parseJsonObject(where, await readFile(MANIFEST, "utf8")));
  if (root.int("format") !== 1) throw root.error("format", "1");
  const entries = Object.entries(root.object("models").values).map(([name, value]): [string, HubModel] => {
    const fields = new Fields(`${where}: ${name}`, asObject(`${where}: ${name}`, value));
    const kind = fields.word("kind", ["clip", "gpt2"]);
    const [repo, revision] = [text(fields, "repo"), text(fields, "revision")];
    return [name, { name, kind, repo, revision, files: texts(fields, "files"), weights: texts(fields, "weights") }];
  });
  return new Map(entries);
}

/** The model of this name; throws "bad-usage" listing all of them. */
export async function hubModel(name: string): Promise<HubModel> {
  const models = await hubModels();
  const model = models.get(name);
  if (model) return model;
  throw new ClipCapError(
    "bad-usage",
    `There is no model "${name}" to fetch; choose one of ${[...models.keys()].join(", ")}.`,
  );
}

function text(fields: Fields, key: string): string {
  const value = fields.text(key);
  if (!value) throw fields.error(key, "a text");
  return value;
}

function texts(fields: Fields, key: string): string[] {
  const value = fields.values[key];
  if (!Array.isArray(value) || value.length === 0 || !value.every((item) => typeof item === "string")) {
    throw fields.error(key, "a list of file names");
  }
  return value;
}
