/** Numbers of q, k or v: element (b, t, h, d) at offset + b*batch + t*row + h*head + d. */
export interface HeadsData {
  readonly data: ArrayLike<number>;
  readonly offset: number;
  readonly row: number;
  readonly batch: number;
  readonly head: number;
}

export interface AttentionShape {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly headSize: number;
  readonly causal: boolean;
  readonly keyLengths?: ArrayLike<number>;
  /** `keep` [B, H, Tq, Tk]: the probabilities that stay. */
  readonly dropped?: { readonly rate: number; readonly keep: readonly boolean[] };
}

/** m_ij, by which dropout multiplies p_ij: 0 or 1 / (1 - rate). */
function kept(o: AttentionShape, b: number, h: number, i: number, j: number): number {
  if (!o.dropped) return 1;
  const { rate, keep } = o.dropped;
  return keep[((b * o.heads + h) * o.queries + i) * o.keys + j] ? 1 / (1 - rate) : 0;
}

/**
 * out[b, i, h, :] = sum_j softmax_j(q_i . k_j / sqrt(D)) v_j over the keys j that query i sees: j < keyLengths[b], and
 * j <= i + Tk - Tq when causal. A query that sees nothing gives zeros. Dropout multiplies each probability by m_ij after
 * the softmax. Returns f64 [B*Tq, H*D].
 */
export function attentionRef(q: HeadsData, k: HeadsData, v: HeadsData, o: AttentionShape): Float64Array {
  const { batch: B, queries: Tq, keys: Tk, heads: H, headSize: D } = o;
  const at = (x: HeadsData, b: number, t: number, h: number, d: number) =>
    x.data[x.offset + b * x.batch + t * x.row + h * x.head + d]!;
  const out = new Float64Array(B * Tq * H * D);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      for (let i = 0; i < Tq; i++) {
        const seen = Math.min(o.keyLengths?.[b] ?? Tk, o.causal ? i + Tk - Tq + 1 : Tk);
        const key = (j: number) => Array.from({ length: D }, (_, d) => at(k, b, j, h, d));
        const value = (j: number) => Array.from({ length: D }, (_, d) => at(v, b, j, h, d));
        const query = Array.from({ length: D }, (_, d) => at(q, b, i, h, d));
        out.set(
          attendRef(query, key, value, seen, (j) => kept(o, b, h, i, j)),
          ((b * Tq + i) * H + h) * D,
        );
      }
    }
  }
  return out;
}

/** One query against `seen` keys. */
function attendRef(
  query: readonly number[],
  key: (j: number) => readonly number[],
  value: (j: number) => readonly number[],
  seen: number,
  factor: (j: number) => number = () => 1,
): Float64Array {
  const out = new Float64Array(query.length);
  const scores: number[] = [];
  for (let j = 0; j < seen; j++) {
    const kj = key(j);
    scores.push(query.reduce((sum, x, d) => sum + x * kj[d]!, 0) / Math.sqrt(query.length));
  }
  const top = Math.max(...scores);
  const weights = scores.map((s) => Math.exp(s - top));
  const total = weights.reduce((a, b) => a + b, 0);
  for (let j = 0; j < seen; j++) {
    value(j).forEach((x, d) => {
      out[d]! += (weights[j]! / total) * factor(j) * x;
    });
  }
  return out;
}

/**
 * The gradients of attentionRef for dout [B*Tq, H*D], by the array that holds q, k or v and laid out as it is. With
 * p the probabilities of query i, m their factors under dropout:  dv_j += m_j p_j dout_i;
 * ds_j = p_j (dp_j - sum_n p_n dp_n) where dp_j = m_j dout_i . v_j;  dq_i += ds_j k_j / sqrt(D);  dk_j += ds_j q_i / sqrt(D).
 */
export function attentionBackwardRef(
  q: HeadsData,
  k: HeadsData,
  v: HeadsData,
  dout: ArrayLike<number>,
  o: AttentionShape,
): Map<ArrayLike<number>, Float64Array> {
  const { batch: B, queries: Tq, keys: Tk, heads: H, headSize: D } = o;
  const scale = 1 / Math.sqrt(D);
  const grads = new Map([q, k, v].map((x) => [x.data, new Float64Array(x.data.length)]));
  const [dq, dk, dv] = [q, k, v].map((x) => grads.get(x.data)!) as [Float64Array, Float64Array, Float64Array];
  for (let row = 0; row < B * Tq * H; row++) {
    const [h, i, b] = [row % H, Math.floor(row / H) % Tq, Math.floor(row / (H * Tq))];
    const start = (x: HeadsData, t: number) => x.offset + b * x.batch + t * x.row + h * x.head;
    const seen = Math.max(0, Math.min(o.keyLengths?.[b] ?? Tk, o.causal ? i + Tk - Tq + 1 : Tk));
    const inner = (x: ArrayLike<number>, x0: number, y: ArrayLike<number>, y0: number) => {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += x[x0 + d]! * y[y0 + d]!;
      return sum;
    };
    const scores = Float64Array.from(
      { length: seen },
      (_, j) => inner(q.data, start(q, i), k.data, start(k, j)) * scale,
    );
    const top = scores.reduce((a, s) => Math.max(a, s), Number.NEGATIVE_INFINITY);
    const total = scores.reduce((sum, s) => sum + Math.exp(s - top), 0);
    const p = scores.map((s) => Math.exp(s - top) / total);
    const dp = p.map((_, j) => kept(o, b, h, i, j) * inner(dout, row * D, v.data, start(v, j)));
    const delta = p.reduce((sum, pj, j) => sum + pj * dp[j]!, 0);
    for (let j = 0; j < seen; j++) {
      const ds = p[j]! * (dp[j]! - delta) * scale;
      for (let d = 0; d < D; d++) {
        dv[start(v, j) + d]! += kept(o, b, h, i, j) * p[j]! * dout[row * D + d]!;
        dq[start(q, i) + d]! += ds * k.data[start(k, j) + d]!;
        dk[start(k, j) + d]! += ds * q.data[start(q, i) + d]!;
      }
    }
  }
  return grads;
}

export interface CachedAttentionShape {
  readonly rows: number;
  readonly tokens: number;
  readonly heads: number;
  readonly headSize: number;
  /** Valid positions, the new tokens included. */
  readonly keys: number;
  readonly capacity: number;
}

/**
 * The new token t of row r (q from packed qkv [R*T, 3C]) sees the positions j <= keys - T + t; position j of row r lies
 * in row ancestry[r, j] of the caches [rows, capacity, C]. Returns f64 [R*T, C].
 */
export function cachedAttentionRef(
  qkv: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  ancestry: ArrayLike<number>,
  o: CachedAttentionShape,
): Float64Array {
  const { rows: R, tokens: T, heads: H, headSize: D, keys, capacity } = o;
  const C = H * D;
  const out = new Float64Array(R * T * C);
  for (let r = 0; r < R; r++) {
    for (let t = 0; t < T; t++) {
      for (let h = 0; h < H; h++) {
        const slice = (x: ArrayLike<number>, start: number) => Array.from({ length: D }, (_, d) => x[start + d]!);
        const place = (j: number) => (ancestry[r * capacity + j]! * capacity + j) * C + h * D;
        const query = slice(qkv, (r * T + t) * 3 * C + h * D);
        const attended = attendRef(
          query,
          (j) => slice(k, place(j)),
          (j) => slice(v, place(j)),
          keys - T + t + 1,
        );
        out.set(attended, ((r * T + t) * H + h) * D);
      }
    }
  }
  return out;
}
