import { type KernelSpec, read, write } from "../../runtime/kernel.js";

/** One thread for the few hundred rows there are: a reduction would cost more in barriers than it saves. */
export const countRemaining: KernelSpec = {
  name: "decode.remaining",
  bindings: [read("stopped", "u32"), write("remaining", "u32")],
  uniforms: [
    ["images", "u32"],
    ["width", "u32"],
  ],
  workgroup: [1, 1, 1],
  body: /* wgsl */ `
@compute fn main() {
  var live = 0u;
  for (var image = 0u; image < u.images; image++) {
    var all = 1u;
    for (var i = 0u; i < u.width; i++) { all &= stopped[image * u.width + i]; }
    live += 1u - all;
  }
  remaining[0] = live;
}`,
};

/** One thread per (row, position). */
export const startAncestry: KernelSpec = {
  name: "decode.ancestry",
  bindings: [write("ancestry", "u32")],
  uniforms: [
    ["width", "u32"],
    ["capacity", "u32"],
    ["prefix", "u32"],
  ],
  workgroup: [64, 1, 1],
  body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) at: vec3u) {
  if (at.x >= u.capacity) { return; }
  let row = at.y;
  ancestry[row * u.capacity + at.x] = select(row, row - row % u.width, at.x < u.prefix);
}`,
};
