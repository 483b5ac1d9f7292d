export interface EmbeddingCase {
  readonly name: string;
  readonly vocabulary: number;
  readonly columns: number;
  readonly ids: readonly number[];
}

export const EMBEDDING_CASES: readonly EmbeddingCase[] = [
  { name: "one element", vocabulary: 1, columns: 1, ids: [0] },
  { name: "odd columns", vocabulary: 17, columns: 65, ids: [16, 0, 3, 3] },
  { name: "ids beyond the table", vocabulary: 9, columns: 12, ids: [8, 9, 4_294_967_295, 0] },
  { name: "decode, beam 5", vocabulary: 211, columns: 768, ids: [13, 13, 210, 0, 7] },
  { name: "prompt", vocabulary: 500, columns: 64, ids: Array.from({ length: 120 }, (_, i) => (i * 37) % 500) },
];
