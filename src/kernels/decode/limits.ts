/** Beams per image: the kernels keep one image's column of tokens in a private array of this size. */
export const MAX_BEAMS = 16;

/** Stop tokens; they travel as uniforms. */
export const MAX_STOPS = 16;

/** Token id that stands for "no token". */
export const NONE = 0xffff_ffff;

/** Logit of an empty place in a list of candidates. */
export const LOWEST = -3.4e38;

/** Logit of a banned token: its probability is 0 in f32 unless all tokens are banned, and it still beats `LOWEST`. */
export const BANNED = -3e38;
