import type { KernelSpec } from "../runtime/kernel.js";
import { activationKernels } from "./activation/activation.js";
import { adamWKernels } from "./adamw/adamw.js";
import { attentionKernels } from "./attention/attention.js";
import { columnSumKernels } from "./columnsum/columnsum.js";
import { contrastiveKernels } from "./contrastive/contrastive.js";
import { crossEntropyKernels } from "./crossentropy/crossentropy.js";
import { decodeKernels } from "./decode/decode.js";
import { dropoutKernels } from "./dropout/dropout.js";
import { embeddingKernels } from "./embedding/embedding.js";
import { gradNormKernels } from "./gradnorm/gradnorm.js";
import { l2NormalizeKernels } from "./l2norm/l2norm.js";
import { layerNormKernels } from "./layernorm/layernorm.js";
import { matmulKernels } from "./matmul/variant.js";
import { patchKernels } from "./patch/patch.js";
import { rowKernels } from "./rows/rows.js";
import { softmaxKernels } from "./softmax/softmax.js";

/** Every kernel of every op in every variant, for `npm run check` and the benchmarks. */
export function allKernels(): KernelSpec[] {
  return [
    ...activationKernels(),
    ...adamWKernels(),
    ...attentionKernels(),
    ...columnSumKernels(),
    ...contrastiveKernels(),
    ...crossEntropyKernels(),
    ...decodeKernels(),
    ...dropoutKernels(),
    ...embeddingKernels(),
    ...gradNormKernels(),
    ...l2NormalizeKernels(),
    ...layerNormKernels(),
    ...matmulKernels(),
    ...patchKernels(),
    ...rowKernels(),
    ...softmaxKernels(),
  ];
}
