import { basename } from "node:path";
import { ClipCapError } from "../../runtime/errors.js";
import { type FileSource, openFile } from "../../weights/node-source.js";
import { type DecodeOptions, decodeImage, MAX_FILE_BYTES } from "../image/decode-node.js";
import type { Picture } from "./dataset.js";
import { fileStamp } from "./node-pictures.js";
import type { ProblemLog } from "./problems.js";
import type { CaptionRow, FindPicture } from "./rows.js";
import { type TarMember, tarMembers } from "./tar.js";

/** Longest .txt of a sample. */
const MAX_TEXT = 2 ** 20;
const IMAGE_EXTENSIONS = new Set(["jpg", "jpeg", "png", "webp"]);

interface Sample {
  image?: TarMember;
  captions?: readonly string[];
}

/**
 * WebDataset shards: members whose names are equal up to the first "." of the file name are one sample, an image (jpg, jpeg,
 * png, webp) and its captions (txt, one a line); other members are passed over. Images stay in the shards and are read by
 * range when they are decoded. A damaged shard is a problem, and counts up to the damage.
 */
export class WebDataset {
  readonly #pictures = new Map<string, Picture>();

  constructor(
    readonly shards: readonly string[],
    readonly decode: DecodeOptions,
  ) {
    const names = shards.map((path) => basename(path));
    const twice = names.find((name, i) => names.indexOf(name) < i);
    if (twice === undefined) return;
    throw new ClipCapError(
      "bad-input",
      `Two shards are called ${twice}; images are named by their shards, rename one.`,
    );
  }

  /** Where rows of this data set find their images, once all were read. */
  readonly find: FindPicture = async ([place]) => this.#pictures.get(place!);

  async *rows(problems: ProblemLog): AsyncGenerator<CaptionRow> {
    for (const path of this.shards) {
      const shard = await openFile(path);
      try {
        yield* this.#shardRows(path, await readSamples(shard, problems), problems);
      } finally {
        await shard.close();
      }
    }
  }

  *#shardRows(path: string, samples: ReadonlyMap<string, Sample>, problems: ProblemLog): Generator<CaptionRow> {
    for (const [key, { image, captions }] of samples) {
      const where = `sample ${JSON.stringify(key)}`;
      if (!image) {
        if (captions) problems.add("image", where, "it has no image", path);
        continue;
      }
      const id = `${basename(path)}/${image.name.replace(/^\.\//, "")}`;
      if (!this.#pictures.has(id)) this.#pictures.set(id, memberPicture(path, id, image, this.decode));
      yield { id, places: [id], captions: captions ?? [], where, file: path };
    }
  }
}

async function readSamples(shard: FileSource, problems: ProblemLog): Promise<Map<string, Sample>> {
  const samples = new Map<string, Sample>();
  try {
    for await (const member of tarMembers(shard)) {
      const [, key, extension] = /^((?:.*\/)?[^/.]+)\.([^/]*)$/.exec(member.name) ?? [];
      if (key === undefined || extension === undefined) continue;
      const kind = extension.toLowerCase();
      if (kind !== "txt" && !IMAGE_EXTENSIONS.has(kind)) continue;
      const sample = samples.get(key) ?? {};
      samples.set(key, sample);
      if (kind !== "txt") sample.image ??= member;
      else if (member.size <= MAX_TEXT) sample.captions = textLines(await shard.read(member.offset, member.size));
      else
        problems.add("row", member.name, `it has ${member.size} bytes, more than the limit of ${MAX_TEXT}`, shard.name);
    }
  } catch (error) {
    if (!(error instanceof ClipCapError) || error.code !== "bad-input") throw error;
    problems.add("row", "archive", error.message.replace(/\.$/, ""), shard.name);
  }
  return samples;
}

const textLines = (bytes: Uint8Array): string[] =>
  new TextDecoder()
    .decode(bytes)
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "");

function memberPicture(path: string, id: string, { offset, size }: TarMember, options: DecodeOptions): Picture {
  return {
    async decode() {
      if (size > MAX_FILE_BYTES) {
        throw new ClipCapError("bad-image", `${id} has ${size} bytes, more than the limit of ${MAX_FILE_BYTES}.`);
      }
      const shard = await openFile(path);
      try {
        return await decodeImage(await shard.read(offset, size), options);
      } catch (error) {
        if (!(error instanceof ClipCapError) || error.code !== "bad-image") throw error;
        throw new ClipCapError("bad-image", error.message.replace(/^the image/, id), { cause: error });
      } finally {
        await shard.close();
      }
    },
    stamp: async () => `${await fileStamp(path)}-${offset}-${size}`,
  };
}
