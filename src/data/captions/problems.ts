// What is wrong with a data set: said and counted, never a reason to stop in the middle.

/** A row that cannot be read, a caption that is left out, an image that is not there, or a picture that is no picture. */
export type ProblemKind = "row" | "caption" | "image" | "picture";

export interface Problem {
  readonly kind: ProblemKind;
  readonly file: string;
  /** From 1; undefined where the file has no lines (one JSON document, a .tar), and `place` says where it is. */
  readonly line: number | undefined;
  readonly place: string | undefined;
  readonly reason: string;
  /** The whole sentence, with file, line and reason. */
  readonly message: string;
}

export interface Problems {
  readonly counts: Readonly<Record<ProblemKind, number>>;
  /** The first MAX_KEPT; the rest is only counted. */
  readonly kept: readonly Problem[];
}

/** Enough to mend a file by; a broken one of a million rows would take 300 MB. */
export const MAX_KEPT = 10_000;
/** Enough to see what is wrong. */
export const MAX_SHOWN = 20;

/** Where something stands in a file: its line, or a word such as "annotations[3]". */
export type Where = number | string;

/** Collects problems while a file is read. */
export class ProblemLog implements Problems {
  readonly counts: Record<ProblemKind, number> = { row: 0, caption: 0, image: 0, picture: 0 };
  readonly kept: Problem[] = [];

  /** @param file what messages call the data set */
  constructor(readonly file: string) {}

  /** @param reason ends the sentence "FILE, line 3: …" */
  add(kind: ProblemKind, where: Where, reason: string, file = this.file): Problem {
    const [line, place] = typeof where === "number" ? [where, undefined] : [undefined, where];
    const message = `${file}, ${place ?? `line ${line}`}: ${reason}.`;
    const problem = { kind, file, line, place, reason, message };
    this.counts[kind]++;
    if (this.kept.length < MAX_KEPT) this.kept.push(problem);
    return problem;
  }
}

/** One sentence with the counts, such as "2 rows could not be read and 1 image is missing"; "" where all is well. */
export function problemSummary({ counts }: Problems): string {
  const parts = [
    [counts.row, "row could not be read", "rows could not be read"],
    [counts.caption, "caption was left out", "captions were left out"],
    [counts.image, "image is missing", "images are missing"],
    [counts.picture, "picture cannot be read", "pictures cannot be read"],
  ] as const;
  const said = parts.filter(([n]) => n > 0).map(([n, one, many]) => `${n} ${n === 1 ? one : many}`);
  return said.length < 2 ? said.join() : `${said.slice(0, -1).join(", ")} and ${said.at(-1)}`;
}
