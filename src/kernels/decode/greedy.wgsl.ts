import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { APPEND, IS_STOP, STOP_FIELDS } from "./shared.wgsl.js";

/** One thread per row of the state. top is [rows, 2]: (maximum, log sum), (logit, token). */
export const greedyPick: KernelSpec = {
  name: "decode.greedy",
  bindings: [
    read("top", "vec2u"),
    write("tokens", "u32"),
    write("length", "u32"),
    write("score", "f32"),
    write("stopped", "u32"),
    write("next", "u32"),
  ],
  uniforms: [
    ["rows", "u32"],
    ["rowsPerLogits", "u32"],
    ["vocab", "u32"],
    ["maxTokens", "u32"],
    ["step", "u32"],
    ...STOP_FIELDS,
  ],
  workgroup: [8, 1, 1],
  body: /* wgsl */ `
${IS_STOP}
${APPEND}
@compute fn main(@builtin(global_invocation_id) at: vec3u) {
  let row = at.x;
  if (row >= u.rows || u.step >= u.maxTokens) { return; }
  let source = row / u.rowsPerLogits;
  // Logits that are all NaN leave no token: the id is kept inside the vocabulary. The best logit is the maximum, so its
  // log-probability is minus the log of the sum.
  let token = min(top[source * 2u + 1u].y, u.vocab - 1u);
  appendToken(row, token, -bitcast<f32>(top[source * 2u].y));
}`,
};
