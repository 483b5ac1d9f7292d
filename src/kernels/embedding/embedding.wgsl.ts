import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { contributionParts } from "../contribution.js";
import { ELEMENT_WGSL, ELEMENTS_PER_GROUP, VECTOR_TYPE, type Vector } from "../grid.js";

/** How a table is stored: f32 by vec4 or by element, f16 two and q8 four to a word (both by vec4). */
export type TableKind = "f32.vec4f" | "f32.scalar" | "f16" | "q8";

interface TableCode {
  readonly bound: string;
  readonly V: "vec4f" | "f32";
  /** WGSL of the value at `at` (in units of V), a part of row `id`. */
  readonly value: string;
}

const TABLES: Readonly<Record<TableKind, TableCode>> = {
  "f32.vec4f": { bound: "vec4f", V: "vec4f", value: "table[at]" },
  "f32.scalar": { bound: "f32", V: "f32", value: "table[at]" },
  f16: { bound: "vec2u", V: "vec4f", value: "vec4f(unpack2x16float(table[at].x), unpack2x16float(table[at].y))" },
  // Shifts with sign instead of unpack4x8snorm: exact, and -128 is not clamped.
  q8: {
    bound: "u32",
    V: "vec4f",
    value: "scale[id] * vec4f(vec4i(vec4u(table[at]) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u))",
  },
};

/**
 * y[i] = table[ids[i]] for the ids in [first, end), the rows that this part of the table holds. Where `clear` is 1, the
 * rows of ids that no part holds (id >= vocabulary) become zero.
 */
export function embeddingKernel(kind: TableKind): KernelSpec {
  const { bound, V, value } = TABLES[kind];
  const scale = kind === "q8" ? [read("scale")] : [];
  return {
    name: `embedding.${kind}`,
    bindings: [read("ids", "u32"), read("table", bound), ...scale, write("y", V)],
    uniforms: [
      ["count", "u32"],
      ["width", "u32"],
      ["first", "u32"],
      ["end", "u32"],
      ["vocabulary", "u32"],
      ["clear", "u32"],
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    aliases: { V },
    body: /* wgsl */ `${ELEMENT_WGSL}
@compute fn main(@builtin(global_invocation_id) global: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(global, groups);
  if (i >= u.count * u.width) { return; }
  let id = ids[i / u.width];
  if (id >= u.first && id < u.end) {
    let at = (id - u.first) * u.width + i % u.width;
    y[i] = ${value};
  } else if (u.clear == 1u && id >= u.vocabulary) {
    y[i] = V();
  }
}`,
  };
}

/**
 * The positions of each id as a list: links[i] = (whether i is the first position of its id, the next one or `count`).
 * Reading the list in order takes the place of atomics, and of comparing ids for every column.
 */
export const embeddingLinksKernel: KernelSpec = {
  name: "embedding.links",
  bindings: [read("ids", "u32"), write("links", "vec2u")],
  uniforms: [["count", "u32"]],
  workgroup: [ELEMENTS_PER_GROUP, 1, 1],
  body: /* wgsl */ `${ELEMENT_WGSL}
@compute fn main(@builtin(global_invocation_id) global: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(global, groups);
  if (i >= u.count) { return; }
  let id = ids[i];
  var before = 0u;
  while (before < i && ids[before] != id) { before++; }
  var next = i + 1u;
  while (next < u.count && ids[next] != id) { next++; }
  links[i] = vec2u(u32(before == i), next);
}`,
};

/**
 * Vectors that an invocation of `embedding.clear` covers. With 1, a pass over GPT-2's table [50257, 768] that only finds
 * `accumulate` set took 40 ms on lavapipe: the cost of 150,000 workgroups.
 */
export const CLEAR_CHUNK = 64;

/** Makes this part of the gradient what it was before: zeros, a sum so far, or (accumulate) itself. */
export function embeddingClearKernel(vector: Vector): KernelSpec {
  const to = contributionParts(vector);
  return {
    name: `embedding.clear.${VECTOR_TYPE[vector]}`,
    bindings: to.bindings,
    uniforms: [["count", "u32"], ...to.uniforms],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    aliases: to.aliases,
    constants: { CHUNK: CLEAR_CHUNK },
    body: /* wgsl */ `${ELEMENT_WGSL}${to.functions}
@compute fn main(
  @builtin(global_invocation_id) global: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  if (u.accumulate != 0u) { return; }
  let start = (element(global, groups) - lane) * CHUNK + lane;
  for (var k = 0u; k < CHUNK; k++) {
    let i = start + k * ${ELEMENTS_PER_GROUP}u;
    if (i < u.count) { contribute(i, V()); }
  }
}`,
  };
}

/**
 * dtable[v] += sum over i of dy[i] where ids[i] = v, the backward of y[i] = table[ids[i]], for the rows [first, end) of
 * this part. The first position of an id adds up the later ones in order, so each row has one writer.
 */
export function embeddingBackwardKernel(vector: Vector): KernelSpec {
  const V = VECTOR_TYPE[vector];
  return {
    name: `embedding.backward.${V}`,
    bindings: [read("ids", "u32"), read("links", "vec2u"), read("dy", V), write("dtable", V)],
    uniforms: [
      ["count", "u32"],
      ["width", "u32"],
      ["first", "u32"],
      ["end", "u32"],
    ],
    workgroup: [ELEMENTS_PER_GROUP, 1, 1],
    aliases: { V },
    body: /* wgsl */ `${ELEMENT_WGSL}
@compute fn main(@builtin(global_invocation_id) global: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(global, groups);
  if (i >= u.count * u.width) { return; }
  let row = i / u.width;
  let column = i % u.width;
  let id = ids[row];
  if (links[row].x == 0u || id < u.first || id >= u.end) { return; }
  var sum = V();
  for (var at = row; at < u.count; at = links[at].y) { sum += dy[at * u.width + column]; }
  dtable[(id - u.first) * u.width + column] += sum;
}`,
  };
}
