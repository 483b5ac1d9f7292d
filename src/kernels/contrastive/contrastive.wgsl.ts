import { type KernelSpec, read, write } from "../../runtime/kernel.js";
import { ELEMENT_WGSL, ELEMENTS_PER_GROUP } from "../grid.js";

// exp overflows f32 above 88. Trained scales are at most ln 100 (`capLogitScale`), those of files may be anything.
const FACTOR_WGSL = /* wgsl */ `${ELEMENT_WGSL}
fn factor() -> f32 { return exp(clamp(scale[0], -80.0, 80.0)); }
`;

const ENTRY = /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = element(id, groups);
  if (i >= u.count) { return; }`;

/** y = exp(scale) x. */
export const scaleKernel: KernelSpec = {
  name: "contrastive.scale",
  bindings: [read("x"), read("scale"), write("y")],
  uniforms: [["count", "u32"]],
  workgroup: [ELEMENTS_PER_GROUP, 1, 1],
  body: /* wgsl */ `${FACTOR_WGSL}${ENTRY}
  y[i] = factor() * x[i];
}`,
};

/** The derivatives of y = exp(scale) x, element by element: dx = exp(scale) dy, and dscale is the sum of y dy. */
export const scaleBackwardKernel: KernelSpec = {
  name: "contrastive.scale.backward",
  bindings: [read("y"), read("dy"), read("scale"), write("dx"), write("terms")],
  uniforms: [["count", "u32"]],
  workgroup: [ELEMENTS_PER_GROUP, 1, 1],
  body: /* wgsl */ `${FACTOR_WGSL}${ENTRY}
  dx[i] = factor() * dy[i];
  terms[i] = y[i] * dy[i];
}`,
};

/** scale = min(scale, most), in place. */
export const capScaleKernel: KernelSpec = {
  name: "contrastive.scale.cap",
  bindings: [write("scale")],
  uniforms: [["most", "f32"]],
  workgroup: [1, 1, 1],
  body: /* wgsl */ `
@compute fn main() {
  scale[0] = min(scale[0], u.most);
}`,
};
