import { basename } from "node:path";
import { ClipCapError } from "../../runtime/errors.js";
import { type FileSource, openFile } from "../../weights/node-source.js";
import { type DecodeOptions, decodeImage, MAX_FILE_BYTES } from "../image/decode-node.js";
import type { Picture } from "./dataset.js";
import { fileStamp } from "./node-pictures.js";
import type { ProblemLog } from "./problems.js";
import { type CaptionRow, type FindPicture, plainPath } from "./rows.js";
import { type TarMember, tarMembers } from "./tar.js";

/** Longest .txt of a sample. */
const MAX_TEXT = 2 ** 20;
const IMAGE_EXTENSIONS = new Set(["jpg", "jpeg", "png", "webp"]);

interface Sample {
  image?: TarMember;
  captions?: readonly string[];
  /** A name that two members have. */
  twice?: string;
}

/** Extensions of an image and of captions, the last ones of their names, and what stands before. */
const MEMBER_NAME = /^((?:.*\/)?[^/.][^/]*)\.([^/.]*)$/;
/** Up to the first "." of the file name. */
const KEY = /^(?:.*\/)?[^/.]+/;

/**
 * WebDataset shards: members whose names are equal up to the first "." of the file name are one sample, an image (jpg, jpeg,
 * png, webp) and its captions (txt, one a line); other members are passed over, `KEY.mask.png` as well. Images stay in the
 * shards and are read by range when they are decoded. A damaged shard is a problem, and counts up to the damage.
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
    for (const [name, { image, captions, twice }] of samples) {
      const where = `sample ${JSON.stringify(name)}`;
      const [key] = KEY.exec(name)!;
      if (name !== key) {
        // A mask or the like of the sample that the key names, unless it is whole in itself or there is no such sample.
        if (samples.get(key)?.image && !(image && captions)) continue;
        problems.add("row", where, 'in shards a key ends at the first "."; rename its members', path);
      } else if (twice !== undefined) {
        problems.add("row", where, `the shard has two members ${JSON.stringify(twice)}; it is left out`, path);
      } else if (!image) {
        if (captions) problems.add("image", where, "it has no image", path);
      } else {
        const id = `${basename(path)}/${image.name.replace(/^\.\//, "")}`;
        this.#pictures.set(id, memberPicture(path, id, image, this.decode));
        yield { id, places: [id], captions: captions ?? [], where, file: path };
      }
    }
  }
}

/** The images and captions of a shard by their names without extension; some of these are no keys. */
async function readSamples(shard: FileSource, problems: ProblemLog): Promise<Map<string, Sample>> {
  const samples = new Map<string, Sample>();
  const names = new Set<string>();
  try {
    for await (const member of tarMembers(shard)) {
      const [, start, extension] = MEMBER_NAME.exec(plainPath(member.name)) ?? [];
      if (start === undefined || extension === undefined) continue;
      const kind = extension.toLowerCase();
      if (kind !== "txt" && !IMAGE_EXTENSIONS.has(kind)) continue;
      const name = `${start}.${kind}`;
      const sample = samples.get(start) ?? {};
      samples.set(start, sample);
      if (names.has(name)) sample.twice ??= name;
      names.add(name);
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
