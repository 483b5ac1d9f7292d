/** What a system and what people said about one image. */
export interface CaptionItem {
  readonly candidate: string;
  /** At least one. */
  readonly references: readonly string[];
}
