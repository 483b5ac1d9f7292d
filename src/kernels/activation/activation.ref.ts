import type { ActivationKind } from "./activation.wgsl.js";

/** y_i = kind(x_i) in f64. */
export function activationRef(x: ArrayLike<number>, kind: ActivationKind): Float64Array {
  return Float64Array.from(x, (v) => activate(v, kind));
}

/** dx_i = dy_i kind'(x_i) in f64. */
export function activationBackwardRef(x: ArrayLike<number>, dy: ArrayLike<number>, kind: ActivationKind): Float64Array {
  return Float64Array.from(x, (v, i) => dy[i]! * slope(v, kind));
}

function slope(x: number, kind: ActivationKind): number {
  switch (kind) {
    case "none":
      return 1;
    case "gelu_new": {
      const v = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3);
      const t = Math.tanh(v);
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
    }
    case "quick_gelu": {
      const s = 1 / (1 + Math.exp(-1.702 * x));
      return s + 1.702 * x * s * (1 - s);
    }
    case "relu":
      return x > 0 ? 1 : 0;
    case "tanh":
      return 1 - Math.tanh(x) ** 2;
    case "gelu":
      return 0.5 * erfc(-x / Math.SQRT2) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
  }
}

function activate(x: number, kind: ActivationKind): number {
  switch (kind) {
    case "none":
      return x;
    case "gelu_new":
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
    case "quick_gelu":
      return x / (1 + Math.exp(-1.702 * x));
    case "relu":
      return Math.max(x, 0);
    case "tanh":
      return Math.tanh(x);
    case "gelu":
      return 0.5 * x * erfc(-x / Math.SQRT2);
  }
}

/** 1 - erf(z): Taylor series near zero, the continued fraction of Laplace in the tail. */
function erfc(z: number): number {
  if (Math.abs(z) > 2.5) {
    if (z < 0) return 2 - erfc(-z);
    let fraction = z;
    for (let k = 120; k >= 1; k--) fraction = z + k / 2 / fraction;
    return Math.exp(-z * z) / (Math.sqrt(Math.PI) * fraction);
  }
  let term = z;
  let sum = z;
  for (let n = 1; n < 100; n++) {
    term *= (-z * z) / n;
    sum += term / (2 * n + 1);
  }
  return 1 - (2 / Math.sqrt(Math.PI)) * sum;
}
