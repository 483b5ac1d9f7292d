export interface PatchCase {
  readonly name: string;
  readonly batch: number;
  readonly channels: number;
  readonly size: number;
  readonly patch: number;
  /** Columns of the patch embedding. */
  readonly columns: number;
}

export const PATCH_CASES: readonly PatchCase[] = [
  { name: "one pixel", batch: 1, channels: 3, size: 1, patch: 1, columns: 1 },
  { name: "odd", batch: 2, channels: 3, size: 21, patch: 7, columns: 7 },
  { name: "pixels left over", batch: 2, channels: 3, size: 20, patch: 8, columns: 12 },
  { name: "one channel, patch 14", batch: 1, channels: 1, size: 56, patch: 14, columns: 64 },
  { name: "tiny clip", batch: 3, channels: 3, size: 32, patch: 8, columns: 64 },
  { name: "vit-b/32", batch: 1, channels: 3, size: 224, patch: 32, columns: 768 },
];
