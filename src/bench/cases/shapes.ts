/** Sizes of the models that the cases come from. */

/** CLIP ViT-B/32: 49 patches and the class token. */
export const CLIP = { tokens: 50, width: 768, heads: 12, image: 224, patch: 32, projection: 512 } as const;

export const GPT2 = { width: 768, inner: 3072, heads: 12, vocabulary: 50_257 } as const;

/** The transformer mapper with K = L = 10 for CLIP's E = 512 and GPT-2 small. */
export const MAPPER = { tokens: 20, width: 768, inner: 1536, heads: 8 } as const;

/** A training batch: captions of COCO's mean length behind a prefix of 10. */
export const TRAINING = { batch: 40, tokens: 24, rows: 960 } as const;
