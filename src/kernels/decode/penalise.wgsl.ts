import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { BANNED, MAX_STOPS } from "./limits.js";
import { STOP_FIELDS, STOP_LIST } from "./shared.wgsl.js";

/**
 * One thread per (generated token, row) changes the logit of that token in place; only the token's first occurrence
 * acts, so no two threads meet. The history is the first `step` tokens of the row.
 */
export const penaliseHistory: KernelSpec = {
  name: "decode.penalise",
  bindings: [read("tokens", "u32"), write("logits")],
  uniforms: [
    ["vocab", "u32"],
    ["maxTokens", "u32"],
    ["step", "u32"],
    ["penalty", "f32"],
    ["ngram", "u32"],
  ],
  workgroup: [8, 1, 1],
  body: /* wgsl */ `
// Whether the n-gram that ends at history[end] starts with the last n - 1 tokens of the history.
fn repeats(start: u32, end: u32, step: u32) -> bool {
  let before = u.ngram - 1u;
  if (end < before) { return false; }
  for (var k = 1u; k <= before; k++) {
    if (tokens[start + end - k] != tokens[start + step - k]) { return false; }
  }
  return true;
}

@compute fn main(@builtin(global_invocation_id) at: vec3u) {
  let step = min(u.step, u.maxTokens);
  if (at.x >= step) { return; }
  let start = at.y * u.maxTokens;
  let token = min(tokens[start + at.x], u.vocab - 1u);
  for (var j = 0u; j < at.x; j++) {
    if (tokens[start + j] == token) { return; }
  }
  let i = at.y * u.vocab + token;
  let x = logits[i];
  var y = select(x / u.penalty, x * u.penalty, x < 0.0);
  if (u.ngram > 0u) {
    for (var end = at.x; end < step; end++) {
      if (tokens[start + end] == token && repeats(start, end, step)) { y = ${BANNED}f; }
    }
  }
  logits[i] = y;
}`,
};

/** One thread per (banned token, row). */
export const banTokens: KernelSpec = {
  name: "decode.ban",
  bindings: [write("logits")],
  uniforms: [["vocab", "u32"], ["step", "u32"], ["until", "u32"], ...STOP_FIELDS],
  workgroup: [MAX_STOPS, 1, 1],
  body: /* wgsl */ `
@compute fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
  let banned = ${STOP_LIST};
  let token = banned[local];
  if (u.step >= u.until || token >= u.vocab) { return; }
  logits[group.y * u.vocab + token] = ${BANNED}f;
}`,
};
