import { ClipCapError } from "../runtime/errors.js";

/** What a system and what people said about one image. */
export interface CaptionItem {
  readonly candidate: string;
  /** At least one. */
  readonly references: readonly string[];
}

/** @throws ClipCapError `bad-input` for an image without references, or with anything but texts. */
export function checkItems(items: readonly CaptionItem[]): void {
  items.forEach((item, image) => {
    const references = Array.isArray(item?.references) ? item.references : [];
    if (references.length === 0) {
      throw new ClipCapError("bad-input", `image ${image} has no references; give at least one for each`);
    }
    if ([item.candidate, ...references].every((text) => typeof text === "string")) return;
    throw new ClipCapError("bad-input", `image ${image} has a caption that is no text`);
  });
}
