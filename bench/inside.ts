// The recorded programs behind the models' public face. Benchmarks replay parts of them; nothing else should.
import type { ClipCap } from "../src/models/clipcap.js";
import type { Generator } from "../src/models/generate.js";
import type { Program } from "../src/runtime/program.js";
import type { Tensor } from "../src/runtime/tensor.js";

export interface GeneratorParts {
  /** From the image or prefix to the first token. */
  readonly start: Program;
  /** One further token. */
  readonly step: Program;
  /** What a step reads back. */
  readonly state: { readonly next: Tensor; readonly remaining: Tensor };
}

export function partsOf(generator: Generator): GeneratorParts {
  return generator as unknown as GeneratorParts;
}

/** The generator that served the last call of `caption`. */
export function lastGenerator(model: ClipCap): GeneratorParts {
  const { recorded } = model as unknown as { recorded: ReadonlyMap<string, { generator: Generator }> };
  return partsOf([...recorded.values()].at(-1)!.generator);
}
