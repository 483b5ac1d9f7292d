import type { CaptionedImage } from "../data/captions/dataset.js";
import type { Problem, ProblemLog } from "../data/captions/problems.js";
import { isUnreadable } from "../data/image/decode-node.js";
import { ClipCapError } from "../runtime/errors.js";

/** Hears of each picture that cannot be read. */
export type Unreadable = (image: CaptionedImage, error: ClipCapError) => void;

/** Counts a picture that cannot be read among the problems, at the row that names it. */
export function addUnreadable(problems: ProblemLog, { id, row }: CaptionedImage, { message }: ClipCapError): Problem {
  return problems.add("picture", row?.where ?? id, message.replace(/\.$/, ""), row?.file);
}

/** Pictures that are read at the same time; decoding happens in libuv's four threads. */
const AT_ONCE = 8;

/**
 * Reads every picture once, so that one that cannot be read is known before training and not in the middle of an epoch.
 * Returns the others.
 * @throws ClipCapError `aborted`
 */
export async function readablePictures(
  images: readonly CaptionedImage[],
  report: Unreadable,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress?: (done: number) => void },
): Promise<CaptionedImage[]> {
  const readable: CaptionedImage[] = [];
  for (let i = 0; i < images.length; i += AT_ONCE) {
    if (signal.aborted) throw new ClipCapError("aborted", "reading the pictures was stopped");
    const some = images.slice(i, i + AT_ONCE);
    const pictures = await Promise.all(some.map((image) => readOr(report, image, image.decode())));
    readable.push(...some.filter((_, k) => pictures[k] !== undefined));
    onProgress?.(i + some.length);
  }
  return readable;
}

/** What was read of a picture, or undefined where it cannot be read, which is reported. */
export async function readOr<T>(
  report: Unreadable,
  image: CaptionedImage,
  reading: Promise<T>,
): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    report(image, error);
    return undefined;
  }
}
