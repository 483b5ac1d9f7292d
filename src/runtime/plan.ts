/**
 * Memory planning: from the order of dispatches to fixed offsets in a few arenas, before anything is allocated.
 *
 * WebGPU forbids one buffer from being read-only and writable in the same dispatch. A single arena would therefore
 * force every binding to be writable (and forbid binding a value twice). Instead values are spread over a few arenas
 * so that no dispatch reads and writes the same one; transformer blocks need three.
 */
export interface Lifetime {
  readonly label: string;
  readonly bytes: number;
  /** Index of the first dispatch that touches the value, and of the last. */
  readonly first: number;
  readonly last: number;
}

/** Two values (by index) that one dispatch binds with different access, so that they may not share an arena. */
export type Conflict = readonly [number, number];

export interface Placement {
  readonly arena: number;
  readonly offset: number;
}

export interface Plan {
  readonly placements: readonly Placement[];
  /** Bytes of each arena. */
  readonly arenas: readonly number[];
}

export interface PlanLimits {
  /** Offset alignment of a storage binding (256 by default in WebGPU). */
  readonly alignment: number;
  readonly maxArenaBytes: number;
  /** Extra bytes behind each value; tests fill them with a pattern to catch writes out of bounds. */
  readonly guardBytes: number;
}

/**
 * Greedy by size: the largest value first, each at the lowest free offset of the arena that grows least.
 * Within 5 % of the lower bound (the largest sum of simultaneously live bytes) on the models here.
 */
export function planMemory(values: readonly Lifetime[], conflicts: readonly Conflict[], limits: PlanLimits): Plan {
  const rivals = values.map(() => new Set<number>());
  for (const [a, b] of conflicts) {
    rivals[a]!.add(b);
    rivals[b]!.add(a);
  }
  const order = values.map((_, i) => i).sort((a, b) => values[b]!.bytes - values[a]!.bytes || a - b);
  const sizes = values.map((v) => align(v.bytes + limits.guardBytes, limits.alignment));
  const placements: (Placement | undefined)[] = values.map(() => undefined);
  const arenas: number[] = [];

  for (const i of order) {
    const size = sizes[i]!;
    const barred = new Set([...rivals[i]!].map((r) => placements[r]?.arena));
    let best: { arena: number; offset: number; growth: number } | undefined;
    for (let arena = 0; arena <= arenas.length; arena++) {
      if (barred.has(arena)) continue;
      const offset = lowestFree(values, sizes, placements, i, arena);
      const growth = Math.max(0, offset + size - (arenas[arena] ?? 0));
      if (offset + size > limits.maxArenaBytes && arena < arenas.length) continue;
      if (!best || growth < best.growth) best = { arena, offset, growth };
    }
    const { arena, offset } = best!; // the arena after the last one is never barred
    placements[i] = { arena, offset };
    arenas[arena] = Math.max(arenas[arena] ?? 0, offset + size);
  }
  return { placements: placements as Placement[], arenas };
}

function lowestFree(
  values: readonly Lifetime[],
  sizes: readonly number[],
  placements: readonly (Placement | undefined)[],
  i: number,
  arena: number,
): number {
  const { first, last } = values[i]!;
  const size = sizes[i]!;
  const taken: [number, number][] = [];
  placements.forEach((p, j) => {
    const other = values[j]!;
    if (p?.arena === arena && other.first <= last && first <= other.last) {
      taken.push([p.offset, p.offset + sizes[j]!]);
    }
  });
  taken.sort((a, b) => a[0] - b[0]);
  let offset = 0;
  for (const [start, end] of taken) {
    if (offset + size <= start) break;
    offset = Math.max(offset, end);
  }
  return offset;
}

/** The least multiple of `to` that is not below n. */
export function align(n: number, to: number): number {
  return Math.ceil(n / to) * to;
}
