import type { UniformField } from "../../runtime/kernel.js";
import { LOWEST, MAX_STOPS, NONE } from "./limits.js";

const STOP_NAMES = Array.from({ length: MAX_STOPS }, (_, i) => `stop${i}`);

/** Uniform members that hold a list of tokens, mostly the stop tokens; `isStop` reads them. */
export const STOP_FIELDS: readonly UniformField[] = STOP_NAMES.map((name) => [name, "u32"]);

/** Values of `STOP_FIELDS`. @throws RangeError when there are more than 16. */
export function stopUniforms(stop: readonly number[], what = "stop tokens"): Record<string, number> {
  if (stop.length > MAX_STOPS) throw new RangeError(`${stop.length} ${what}; at most ${MAX_STOPS} are supported`);
  return Object.fromEntries(STOP_NAMES.map((name, i) => [name, stop[i] ?? NONE]));
}

export const IS_STOP = /* wgsl */ `
fn isStop(token: u32) -> bool {
  return ${STOP_NAMES.map((name) => `token == u.${name}`).join(" || ")};
}`;

/** The stop tokens as one WGSL value; unused places hold `NONE`. */
export const STOP_LIST = `array<u32, ${MAX_STOPS}>(${STOP_NAMES.map((name) => `u.${name}`).join(", ")})`;

/**
 * Appends a token and its log-probability to a row, or the padding token 0 once the row has stopped. Step 0 starts
 * afresh. Needs the bindings tokens, length, score, stopped, next and the uniforms maxTokens and step, and `isStop`.
 */
export const APPEND = /* wgsl */ `
fn appendToken(row: u32, chosen: u32, logProbability: f32) {
  let first = u.step == 0u;
  let done = !first && stopped[row] != 0u;
  let token = select(chosen, 0u, done);
  tokens[row * u.maxTokens + u.step] = token;
  next[row] = token;
  score[row] = select(score[row], 0.0, first) + select(logProbability, 0.0, done);
  length[row] = select(length[row], 0u, first) + select(1u, 0u, done);
  stopped[row] = select(0u, 1u, done || isStop(token));
}`;

/** Below every real logit, the banned ones (`BANNED`) included. */
export const LOWEST_CONST = `const LOWEST = ${LOWEST}f;`;

/** Order of candidates. `LOWEST` and `NONE` fill the empty places of a list. */
export const CANDIDATE_ORDER = /* wgsl */ `
${LOWEST_CONST}
const NONE = ${NONE}u;

// Larger logits first, equal ones by token: a total order, so the order of merging does not matter.
fn better(v: f32, token: u32, than: f32, thanToken: u32) -> bool {
  return v > than || (v == than && token < thanToken);
}`;
