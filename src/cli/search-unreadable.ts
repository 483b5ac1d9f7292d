import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeAtomically } from "../weights/node-source.js";

/** Some 2 MB. Of more, the first ones are looked at in every search. */
const MAX_UNREADABLE = 10_000;

interface Failure {
  readonly stamp: string;
  /** What the message said after the name of the file. */
  readonly reason: string;
}

/** Images that could not be read, by absolute path: they are not looked at again until their files have changed. */
export class UnreadableImages {
  #changed = false;

  private constructor(
    private readonly path: string,
    private readonly failures: Map<string, Failure>,
  ) {}

  /** What is no such list is as good as none: its images are looked at again. */
  static async open(folder: string): Promise<UnreadableImages> {
    const path = join(folder, "unreadable.json");
    const failures = new Map<string, Failure>();
    try {
      for (const [id, stamp, reason] of JSON.parse(await readFile(path, "utf8"))) {
        if ([id, stamp, reason].every((text) => typeof text === "string")) failures.set(id, { stamp, reason });
      }
    } catch {}
    return new UnreadableImages(path, failures);
  }

  /** Why an image could not be read as it is now; undefined where that is unknown. */
  reason(id: string, stamp: string): string | undefined {
    const failure = this.failures.get(id);
    return failure?.stamp === stamp ? failure.reason : undefined;
  }

  set(id: string, failure: Failure): void {
    this.failures.delete(id); // the last ones are kept
    this.failures.set(id, failure);
    this.#changed = true;
  }

  /** Another search that ends at the same time may win: what it did not see is then looked at again. */
  async save(): Promise<void> {
    if (!this.#changed) return;
    const rows = Array.from(this.failures, ([id, { stamp, reason }]) => [id, stamp, reason]).slice(-MAX_UNREADABLE);
    await writeAtomically(this.path, (sink) => sink.write(Buffer.from(`${JSON.stringify(rows)}\n`)));
  }
}
