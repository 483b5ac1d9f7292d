import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { afterAll } from "vitest";
import type { CaptionDataset } from "../../../src/data/captions/dataset.js";
import { MAX_SHOWN } from "../../../src/data/captions/problems.js";

/** A PNG of 2 x 1 pixels, both of this grey. */
export function png(grey: number): Promise<Buffer> {
  const background = { r: grey, g: grey, b: grey };
  return sharp({ create: { width: 2, height: 1, channels: 3, background } })
    .png()
    .toBuffer();
}

/** A new folder with these files, by path; it is removed after the tests of the file. */
export async function folderOf(files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "clipcap-captions-"));
  afterAll(() => rm(root, { recursive: true }));
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
  return root;
}

/** What tests compare: ids, captions and splits. */
export function plain({ images }: Pick<CaptionDataset, "images">) {
  return images.map(({ id, captions, split }) => ({ id, captions, split }));
}

/** The sentences about problems, without the test's folder. */
export function sentences({ problems }: Pick<CaptionDataset, "problems">, root: string): string[] {
  return problems.kept.slice(0, MAX_SHOWN).map(({ message }) => message.replaceAll(`${root}/`, ""));
}

/** The message of the error that a promise ends in, without the test's folder. */
export async function failure(promise: Promise<unknown>, root: string): Promise<string> {
  const error = await promise.then(
    () => new Error("it did not fail"),
    (cause: Error & { code?: string }) => cause,
  );
  return `${(error as { code?: string }).code}: ${error.message.replaceAll(`${root}/`, "")}`;
}
