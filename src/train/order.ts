import { random } from "../data/random.js";

/** One picture with one of its captions, or with several from that one on, by their numbers. */
export interface Example {
  readonly image: number;
  readonly caption: number;
}

export interface OrderOptions {
  readonly seed: number;
  /** Examples of a step. */
  readonly batch: number;
  /** Whether an epoch takes every caption of a picture, as the original training does, or one, chosen anew. */
  readonly captions: "each" | "one";
  /**
   * So many batches at a time are sorted by length and cut into batches of like lengths, so that little is padded;
   * their order stays random. 1 leaves examples as they were shuffled.
   */
  readonly pool: number;
}

/**
 * The order in which examples are seen: a function of seed and step alone. What does not fill a batch at the end of an
 * epoch is left out, as in the original.
 */
export class DataOrder {
  readonly stepsPerEpoch: number;
  private readonly each: readonly Example[];
  private current: { readonly epoch: number; readonly batches: readonly (readonly Example[])[] } | undefined;

  /**
   * `lengths[image][caption]`: what a caption counts when sorted, usually its tokens. Neighbouring images with the same
   * number in `groups` stay neighbours, so nearly all of them meet in a batch (not where each caption is an example).
   */
  constructor(
    private readonly lengths: readonly (readonly number[])[],
    private readonly options: OrderOptions,
    private readonly groups: readonly (number | undefined)[] = [],
  ) {
    const each = lengths.flatMap((captions, image) => captions.map((_, caption) => ({ image, caption })));
    this.each = options.captions === "each" ? each : [];
    this.stepsPerEpoch = Math.floor((options.captions === "each" ? each : lengths).length / options.batch);
  }

  /** The examples of a step, counted from 0. @throws RangeError where not even one batch is filled. */
  batch(step: number): readonly Example[] {
    if (this.stepsPerEpoch === 0) throw new RangeError(`there are fewer examples than ${this.options.batch}, a batch`);
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (this.current?.epoch !== epoch) this.current = { epoch, batches: this.epoch(epoch) };
    return this.current.batches[step % this.stepsPerEpoch]!;
  }

  private epoch(epoch: number): Example[][] {
    const { seed, batch, pool } = this.options;
    const units = this.units(this.examples(epoch));
    const order = random(seed, "order", epoch).permutation(units.length);
    const shuffled = Array.from(order, (i) => this.sized(units[i]!))
      .flat()
      .slice(0, this.stepsPerEpoch * batch);
    const batches: Example[][] = [];
    for (let start = 0; start < shuffled.length; start += pool * batch) {
      const some = shuffled.slice(start, start + pool * batch);
      if (pool > 1) some.sort((a, b) => a.length - b.length); // stable: equal lengths stay shuffled
      const examples = some.map(({ example }) => example);
      for (let i = 0; i < examples.length; i += batch) batches.push(examples.slice(i, i + batch));
    }
    if (pool === 1) return batches;
    return Array.from(random(seed, "batches", epoch).permutation(batches.length), (i) => batches[i]!);
  }

  /** Examples that stay together. */
  private units(examples: readonly Example[]): Example[][] {
    const units: Example[][] = [];
    let last: number | undefined;
    for (const example of examples) {
      const group = this.options.captions === "one" ? this.groups[example.image] : undefined;
      if (group !== undefined && group === last) units.at(-1)!.push(example);
      else units.push([example]);
      last = group;
    }
    return units;
  }

  /** The examples of a unit with what they are sorted by: the longest of them. */
  private sized(unit: readonly Example[]): { readonly example: Example; readonly length: number }[] {
    const length = unit.reduce((most, { image, caption }) => Math.max(most, this.lengths[image]![caption]!), 0);
    return unit.map((example) => ({ example, length }));
  }

  private examples(epoch: number): readonly Example[] {
    if (this.options.captions === "each") return this.each;
    const pick = random(this.options.seed, "caption", epoch);
    return this.lengths.map((captions, image) => ({ image, caption: pick.below(captions.length, image) }));
  }
}
