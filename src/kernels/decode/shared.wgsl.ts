import type { UniformField } from "../../runtime/kernel.js";
import { LOWEST, MAX_STOPS, NONE } from "./limits.js";

const STOP_NAMES = Array.from({ length: MAX_STOPS }, (_, i) => `stop${i}`);

/** Uniform members that hold the stop tokens; `isStop` reads them. */
export const STOP_FIELDS: readonly UniformField[] = STOP_NAMES.map((name) => [name, "u32"]);

/** Values of `STOP_FIELDS`. @throws RangeError when there are more than 16. */
export function stopUniforms(stop: readonly number[]): Record<string, number> {
  if (stop.length > MAX_STOPS) throw new RangeError(`${stop.length} stop tokens; at most ${MAX_STOPS} are supported`);
  return Object.fromEntries(STOP_NAMES.map((name, i) => [name, stop[i] ?? NONE]));
}

export const IS_STOP = /* wgsl */ `
fn isStop(token: u32) -> bool {
  return ${STOP_NAMES.map((name) => `token == u.${name}`).join(" || ")};
}`;

/** A logit that no list holds yet lies below every real one, the banned ones (`BANNED`) included. */
export const CANDIDATE_ORDER = /* wgsl */ `
const LOWEST = ${LOWEST}f;
const NONE = ${NONE}u;

// Larger logits first, equal ones by token: a total order, so the order of merging does not matter.
fn better(v: f32, token: u32, than: f32, thanToken: u32) -> bool {
  return v > than || (v == than && token < thanToken);
}`;
