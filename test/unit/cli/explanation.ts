import type { Explanation } from "../../../src/cli/explain/explanation.js";

export const ATTACK = `</script><script>window.attacked = 1</script><img src=x onerror="window.attacked = 1">`;

/** A small explanation in which every text that comes from files is hostile: 2 x 2 patches, 2 vectors, 2 words, 2 beams. */
export const HOSTILE: Explanation = {
  file: ATTACK,
  model: ATTACK,
  adapter: ATTACK,
  caption: ATTACK,
  logprob: Math.log(0.6) + Math.log(0.1),
  picture: { width: 40, height: 30 },
  imageSize: 8,
  patchSize: 4,
  vision: [
    {
      heads: [
        [0.2, 0.5, 0.1, 0.1, 0.1],
        [0.4, 0, 0, 0.1, 0.5],
      ],
      mean: [0.3, 0.25, 0.05, 0.1, 0.3],
    },
    {
      heads: [
        [0.1, 0.1, 0.1, 0.1, 0.6],
        [0.2, 0.2, 0.2, 0.2, 0.2],
      ],
      mean: [0.15, 0.15, 0.15, 0.15, 0.4],
    },
  ],
  prefix: [3, 4].map((length) => ({ length, nearest: Array(5).fill({ text: ` ${ATTACK}`, cosine: 0.25 }) })),
  wordLengths: [1, 2],
  words: [
    {
      token: 7,
      text: ` ${ATTACK}`,
      probability: 0.6,
      alternatives: [0.6, 0.2, 0.1, 0.05, 0.01].map((probability) => ({ text: ` ${ATTACK}`, probability })),
      attention: [
        [0.5, 0.5],
        [0.9, 0.1],
      ],
    },
    {
      token: 8,
      text: "\n",
      probability: 0.1,
      alternatives: [{ text: ATTACK, probability: 0.9 }],
      attention: [
        [0.25, 0.25, 0.5],
        [0.75, 0.25, 0],
      ],
    },
  ],
  beams: {
    steps: [
      [
        { parent: 0, text: ATTACK, logprob: -1, length: 1, waits: false, survives: true, wins: true },
        { parent: 0, text: "b", logprob: -2, length: 1, waits: false, survives: false, wins: false },
      ],
    ],
    captions: [{ text: ATTACK, logprob: -1, length: 1 }],
  },
  steps: [{ label: "gpt2.logits", kernel: ATTACK, shape: [2, 99], flops: 0 }],
};
