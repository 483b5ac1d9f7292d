import { activationRef } from "../activation/activation.ref.js";
import type { ActivationKind } from "../activation/activation.wgsl.js";
import type { Layout } from "./matmul.wgsl.js";
import type { MatmulShape } from "./variant.js";

export interface MatmulRefOptions {
  readonly batch?: number;
  /** One `b` for every batch. */
  readonly sharedB?: boolean;
  readonly bias?: ArrayLike<number>;
  readonly activation?: ActivationKind;
  readonly residual?: ArrayLike<number>;
}

/** out = act(a b + bias) + residual in f64; see `matmul`. */
export function matmulRef(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  { layout, M, K, N }: MatmulShape,
  o: MatmulRefOptions = {},
): Float64Array {
  const batch = o.batch ?? 1;
  const out = new Float64Array(batch * M * N);
  for (let z = 0; z < batch; z++) {
    const a0 = z * M * K;
    const b0 = o.sharedB ? 0 : z * K * N;
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += a[a0 + aIndex(layout, m, k, M, K)]! * b[b0 + bIndex(layout, k, n, K, N)]!;
        out[(z * M + m) * N + n] = sum + (o.bias?.[n] ?? 0);
      }
    }
  }
  const y = activationRef(out, o.activation ?? "none");
  return y.map((v, i) => v + (o.residual?.[i] ?? 0));
}

/** Gradients of a, b and bias for dout, without an activation; that of the residual is dout. */
export function matmulBackwardRef(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  dout: ArrayLike<number>,
  { layout, M, K, N }: MatmulShape,
  o: Pick<MatmulRefOptions, "batch" | "sharedB"> = {},
): { da: Float64Array; db: Float64Array; dbias: Float64Array } {
  const [da, db, dbias] = [new Float64Array(a.length), new Float64Array(b.length), new Float64Array(N)];
  for (let z = 0; z < (o.batch ?? 1); z++) {
    const a0 = z * M * K;
    const b0 = o.sharedB ? 0 : z * K * N;
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        const d = dout[(z * M + m) * N + n]!;
        dbias[n]! += d;
        for (let k = 0; k < K; k++) {
          const [i, j] = [a0 + aIndex(layout, m, k, M, K), b0 + bIndex(layout, k, n, K, N)];
          da[i]! += d * b[j]!;
          db[j]! += d * a[i]!;
        }
      }
    }
  }
  return { da, db, dbias };
}

function aIndex(layout: Layout, m: number, k: number, M: number, K: number): number {
  return layout === "tn" ? k * M + m : m * K + k;
}

function bIndex(layout: Layout, k: number, n: number, K: number, N: number): number {
  return layout === "nt" ? n * K + k : k * N + n;
}
