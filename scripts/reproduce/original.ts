// Words of the page that do not depend on numbers.
import type { ExperimentName } from "./experiment.js";

/** Facts about the original; sources are named in the text. */
export const ORIGINAL = `ClipCap (2021) has two variants: an MLP mapper with a GPT-2 that is fine-tuned, and a transformer mapper with a GPT-2
that stays frozen. The experiment that this project was begun for trained both on a tenth of COCO's captions and found
(1) that the loss of the transformer with frozen GPT-2 falls faster, and (2) that the MLP with fine-tuned GPT-2 ends
lower and scores higher: BLEU-4 0.287 against 0.274 on 193 images. Below both are asked again, with the two crossed
variants beside them.

The paper itself, on the 5,000 test images of COCO's Karpathy split, has the order of (2) the other way round:

| COCO, Karpathy test | trained parameters | BLEU-4 | METEOR | CIDEr | SPICE |
| --- | --- | --- | --- | --- | --- |
| transformer, GPT-2 frozen | 43 M | 0.335 | 0.275 | 1.131 | 0.211 |
| MLP, GPT-2 fine-tuned | 156 M | 0.322 | 0.271 | 1.084 | 0.201 |
| transformer, GPT-2 fine-tuned (ablation, not checked against the paper) | 167 M | 0.322 | 0.278 | 1.098 | 0.206 |
| MLP, GPT-2 frozen (ablation, not checked against the paper) | 32 M | 0.274 | 0.244 | 0.924 | 0.180 |

Its numbers of parameters fit CLIP RN50x4 (640 values, K = 10) and not ViT-B/32; reproductions with ViT-B/32 that people
reported came out 0.07 to 0.47 lower in CIDEr. \`npm run reproduce -- --full-size\` repeats it with ViT-B/32
(docs/training.md).`;

const SHARED = `Mappers start from random values, all four with the same seed, and GPT-2 from the one that ships. CLIP stays
as it is; pictures are embedded once. What differs between the variants is the mapper and whether GPT-2 learns, with its
dropout of 0.1 then, as in the original. A GPT-2 that learns has its training losses with that dropout, a frozen one
without any, which makes the former higher; validation losses are without for both. One learning rate serves all variants: it
is a usual one for a new mapper, and a high one for a GPT-2 that is trained already.`;

const NOT_A_STRANGER = `**What the starting point means.** The original's GPT-2 came from web text: it had never seen a caption or a prefix. The
one here was trained together with an MLP mapper on these very training pictures`;

/** What an experiment is made of, and what its answer is worth. */
export const SETTINGS: Readonly<Record<ExperimentName, string>> = {
  scenes: `Small drawn pictures of two objects, drawn by seed (recipes/reproduce-scenes.json), with the networks of weights/scenes
(CLIP 64 pixels, GPT-2 of width 128 with 3 layers, K = 4). ${SHARED}

${NOT_A_STRANGER}. A frozen GPT-2 therefore
speaks the language of the captions already and knows how to read a prefix: freezing costs it less than it cost the
original, fine-tuning has less left to win, and a new MLP only has to find again what an earlier one found. No test scene is
a training scene of either training.`,
  flickr8k: `6,000 photos for training (recipes/reproduce-flickr8k.json), with the networks of weights/flickr8k-small (CLIP 112 pixels,
GPT-2 of width 256 with 6 layers, K = 10). An epoch takes one caption of each photo, drawn anew. ${SHARED}

${NOT_A_STRANGER}, all 32 epochs of them. A frozen GPT-2
therefore writes captions already and knows how to read a prefix: freezing costs it less than it cost the original,
fine-tuning has less left to win and may begin to learn captions by heart, and a new MLP only has to find again what an
earlier one found. The test photos were in neither training.`,
  coco: `The paper's two variants with the recipes coco-mlp and coco-transformer: CLIP ViT-B/32, GPT-2 small, K = 10, batches of 40
captions, ten epochs of all captions, the AdamW of the transformers library of 2021, a learning rate of 2e-5 with 5,000
steps of warm-up. The transformer's embeddings are divided by their length, as in the released checkpoint. Scored is the
epoch with the lowest validation loss; the original kept all ten and left the choice to whoever trains.`,
};

/** Where the data of an experiment comes from, for whom it is missing. */
export const HOW_TO_GET_FLICKR8K =
  "Flickr8k is left out: its photos and captions may not be passed on; ask for them at the University of Illinois' form, " +
  "or take dataset_flickr8k.json of Karpathy's splits with the folder of photos, and give --data FILE --images DIR";
