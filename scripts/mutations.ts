// biome-ignore-all lint/suspicious/noTemplateCurlyInString: words of source text, which holds placeholders

/** One fault: in `file`, the words `from`, which must stand there exactly once, become `to`. */
export interface Mutation {
  /** The kernel that goes wrong: a prefix of its name, or what the recording code does. */
  readonly kernel: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly test: Test;
}

/** The tests that have to notice: those of a file whose names match `only`. */
export interface Test {
  readonly file: string;
  readonly only?: string;
}

/** Kernels of gradients and of their use, by name. Each must have a mutation, so that none is added without. */
export const GRADIENT_KERNELS =
  /\.backward\b|^(adamw|columnsum|dropout|gradnorm|layernorm\.weight|matmul|rows\.(add|columns))\b|^attention\.(d[qkv]|delta)\b|^embedding\.(links|clear)\b/;

type Words = readonly [kernel: string, from: string, to: string];

function faults(file: string, test: string, only: string | undefined, words: readonly Words[]): Mutation[] {
  return words.map(([kernel, from, to]) => ({
    kernel,
    file: `src/${file}`,
    from,
    to,
    test: { file: `test/${test}.test.ts`, only },
  }));
}

export const MUTATIONS: readonly Mutation[] = [
  ...faults("kernels/activation/activation.wgsl.ts", "gpu/activation", undefined, [
    ["activation.backward", "dx[i] = dy[i] * slope4", "dx[i] = -dy[i] * slope4"],
    ["activation.backward", "s + a * s * (1.0 - s)", "s - a * s * (1.0 - s)"],
    ["activation.backward", "0.21406859 * a * a", "0.07135620 * a * a"],
    ["activation.backward", "s + 1.702 * b * s", "s - 1.702 * b * s"],
    ["activation.backward", "vec4f(1.0), x > vec4f(0.0)", "vec4f(1.0), x < vec4f(0.0)"],
    ["activation.backward", "(1.0 - y) * (1.0 + y)", "(1.0 - y) * (1.0 - y)"],
    ["activation.backward", "select(tail, 1.0 - tail, a", "select(1.0 - tail, tail, a"],
    ["activation.backward", "+ a * 0.39894228", "- a * 0.39894228"],
  ]),

  ...faults("kernels/attention/backward.wgsl.ts", "gpu/attention-backward", "causal with lengths", [
    ["attention.delta", "delta += inner(dout", "delta -= inner(dout"],
    ["attention.delta", "vec2f(lse[i], delta)", "vec2f(delta, lse[i])"],
    ["attention.dq", '(dp${drop.only(" * kept")} - row.y)', '(dp${drop.only(" * kept")} + row.y)'],
    ["attention.dq", "exp(min(s - row.x, 0.0))", "exp(min(s + row.x, 0.0))"],
    ["attention.dq", "return vec2u(0u, visibleKeys(b, r));", "return vec2u(1u, visibleKeys(b, r));"],
    ["attention.dk", "max(r + u.queries, u.keys) - u.keys", "max(r + u.queries, u.keys) - u.keys + 1u"],
    ["attention.dk", "u.hasLengths != 0u && r >= lengths[b]", "u.hasLengths != 0u && r > lengths[b]"],
    ["attention.dk", "min(i, u.queries - 1u)) * u.heads + h]", "min(i, u.queries - 1u)) * u.heads]"],
    // one subgroup a workgroup
    ["attention.dq.lanes", "value[d] = ownValue[ownValue0 + d]", "value[d] = ownValue[own0 + d]"],
    ["attention.dq.lanes", "{ dp += value[d]", "{ dp -= value[d]"],
    ["attention.dk.lanes", "{ row = statistics(b, h, first + x); }", "{ row = statistics(b, h, first); }"],
    ["attention.dk.lanes", "s += a[d] * subgroupShuffle", "s -= a[d] * subgroupShuffle"],
    ["attention.dv.lanes", "if (VALUES) { tile = valueTile; }", "if (!VALUES) { tile = valueTile; }"],
    ["attention.dv.lanes", "sum += weights[x]", "sum -= weights[x]"],
    ["attention.dv.lanes", "otherValue0 + at * u.otherValueRow", "otherValue0 + first * u.otherValueRow"],
    // tiles in workgroup memory
    ["attention.dq.tile", "dp[x] += inner(value,", "dp[x] -= inner(value,"],
    ["attention.dq.tile", "s[x] += inner(a,", "s[x] -= inner(a,"],
    ["attention.dk.tile", "select(r, first + at, OWN_KEYS)), s[x]", "select(first + at, r, OWN_KEYS)), s[x]"],
    [
      "attention.dk.tile",
      "contribute(place + d, acc[o] * select(1.0 / sqrt(f32(D)), 1.0",
      "contribute(place + d, acc[o] * select(1.0, 1.0",
    ],
    ["attention.dv.tile", "acc[o] += w * tile", "acc[o] -= w * tile"],
    ["attention.dv.tile", "otherCount() - 1u) * u.otherValueRow", "otherCount() - 1u) * u.otherRow"],
  ]),
  ...faults("kernels/attention/backward.wgsl.ts", "gpu/attention-backward", "dropout with lengths", [
    ["attention.dq, dropped", '(dp${drop.only(" * kept")}', "(dp"],
    ["attention.dv, dropped", 'p${drop.only(" * kept")}, VALUES', "p, VALUES"],
    [
      "attention.dk, dropped",
      "select(${r}, ${another}, OWN_KEYS), select(${another}",
      "select(${another}, ${r}, OWN_KEYS), select(${another}",
    ],
  ]),
  ...faults("kernels/attention/attention.wgsl.ts", "gpu/attention-backward", "dropout with lengths", [
    [
      "attention.dq, dropped",
      "u.heads + h) * u.queries + i) * u.keys + j",
      "u.heads + h) * u.queries + i) * u.queries + i",
    ],
    ["attention.dv, dropped", "select(0.0, u.scale, keep4", "select(u.scale, 0.0, keep4"],
  ]),
  ...faults("kernels/attention/attention.ts", "gpu/attention-backward", "causal with lengths", [
    ["attention, recorded", 'of === "q" ? [query, key] : [key, query]', 'of === "k" ? [query, key] : [key, query]'],
    ["attention, recorded", "scores: x.k, values: x.v", "scores: x.k, values: x.k"],
  ]),

  ...faults("kernels/adamw/adamw.wgsl.ts", "gpu/optimizer-kernels", "AdamW", [
    ["adamw.update", "u.beta1 * m[i] + u.rest1 * g", "u.beta1 * m[i] - u.rest1 * g"],
    ["adamw.update", "u.rest2 * (g * g)", "u.rest2 * g"],
    ["adamw.update", "value[i] = before - (decay", "value[i] = before + (decay"],
    ["adamw.update", "select(before, before - change", "select(before - change, before"],
    ["adamw.update", "let g = factor * grad[i]", "let g = grad[i]"],
    ["adamw.step", "min(1.0, u.max_norm", "max(1.0, u.max_norm"],
    ["adamw.step", "select(1.0, 1.0 / root2, corrected)", "select(1.0, root2, corrected)"],
    ["adamw.step", "select(u.lr * root2, u.lr, corrected)", "select(u.lr, u.lr * root2, corrected)"],
    ["adamw.step", "return -x * sum;", "return x * sum;"],
  ]),
  ...faults("kernels/adamw/adamw.wgsl.ts", "gpu/optimizer", "not finite", [
    ["adamw.step", "u.t - min(skips[0]", "u.t + min(skips[0]"],
    ["adamw.step", "step[SKIP] = select(0.0, 1.0, faulty)", "step[SKIP] = 0.0"],
    ["adamw.step", "skips[0] += select(0u, 1u, faulty)", "skips[0] += select(1u, 0u, faulty)"],
    ["adamw.step", "faulty = faulty || not_finite(loss[i])", "faulty = faulty && not_finite(loss[i])"],
  ]),
  ...faults("train/optimizer.ts", "gpu/optimizer", "decays only", [
    ["adamw, recorded", "slab.decay ? options.weightDecay : 0", "slab.decay ? 0 : options.weightDecay"],
  ]),

  ...faults("kernels/columnsum/columnsum.ts", "gpu/columnsum", undefined, [
    ["columnsum", "sum += x[row", "sum -= x[row"],
    ["columnsum", "min(u.rows, (group.y + 1u) * CHUNK)", "min(u.rows, (group.y + 1u) * CHUNK - 1u)"],
    ["columnsum", "{ sum += y[at]; }", "{ sum -= y[at]; }"],
  ]),

  ...faults("kernels/contrastive/contrastive.wgsl.ts", "gpu/contrastive", "pairs of", [
    ["contrastive.scale.backward", "dx[i] = factor() * dy[i]", "dx[i] = -factor() * dy[i]"],
    ["contrastive.scale.backward", "terms[i] = y[i] * dy[i]", "terms[i] = dy[i] * dy[i]"],
  ]),

  ...faults("kernels/contribution.ts", "gpu/dropout", "residual stream", [
    ["contribute", "{ total += before[i]; }", "{ total -= before[i]; }"],
    ["contribute", "{ total += dx[i]; }", "{ total -= dx[i]; }"],
  ]),

  ...faults("kernels/crossentropy/crossentropy.wgsl.ts", "gpu/crossentropy", undefined, [
    ["crossentropy.backward", "/ s.y - expected)", "/ s.y + expected)"],
    ["crossentropy.backward", "select(0.0, 1.0, i == chosen)", "select(0.0, 1.0, i == chosen + 1u)"],
    ["crossentropy.backward", "weight(row) * dloss[0]", "weight(row) / dloss[0]"],
  ]),
  ...faults("kernels/crossentropy/crossentropy.ts", "gpu/crossentropy", undefined, [
    ["crossentropy, recorded", "backward(common, logits, chunk.first, dloss)", "backward(common, logits, 0, dloss)"],
    ["crossentropy, recorded", "i === chunks.length - 1 ? last", "i === 0 ? last"],
  ]),

  ...faults("kernels/dropout/dropout.wgsl.ts", "gpu/dropout", undefined, [
    ["dropout", "x[i] * u.scale", "x[i] / u.scale"],
    ["dropout", "4u * i + vec4u(0u, 1u, 2u, 3u)", "4u * i + vec4u(0u, 1u, 3u, 2u)"],
    ["dropout", "key ^ vec4u(u.site)", "key"],
  ]),
  ...faults("kernels/dropout/dropout.ts", "gpu/dropout", undefined, [
    ["dropout, recorded", "(dx) => record(p, dy, dx, drop", "(dx) => record(p, x, dx, drop"],
    ["dropout, recorded", "addGradient(p, gradients, residual, dy)", "addGradient(p, gradients, residual, y)"],
  ]),
  ...faults("models/gpt2.ts", "gpu/gpt2-dropout", undefined, [["dropout, recorded", "3 * layer + 2", "3 * layer + 1"]]),

  ...faults("kernels/embedding/embedding.wgsl.ts", "gpu/embedding", "gradient", [
    ["embedding.links", "ids[before] != id) { before++", "ids[before] == id) { before++"],
    ["embedding.links", "vec2u(u32(before == i), next)", "vec2u(u32(before == i), next + 1u)"],
    ["embedding.clear", "if (u.accumulate != 0u) { return; }", "if (u.accumulate == 0u) { return; }"],
    ["embedding.clear", "k < CHUNK; k++", "k < CHUNK - 1u; k++"],
    ["embedding.backward", "sum += dy[at * u.width", "sum -= dy[at * u.width"],
    ["embedding.backward", "dtable[(id - u.first) * u.width", "dtable[id * u.width"],
    ["embedding.backward", "links[row].x == 0u ||", "links[row].x != 0u ||"],
  ]),

  ...faults("kernels/gradnorm/gradnorm.wgsl.ts", "gpu/optimizer-kernels", "gradNorm", [
    ["gradnorm.squares", "squares += value * value", "squares += value"],
    ["gradnorm.squares", "(squares.z + squares.w)", "(squares.z - squares.w)"],
    ["gradnorm.squares", "select(0u, 1u, any(largest", "select(1u, 0u, any(largest"],
    ["gradnorm.fold", "sum += bitcast<f32>(x[i].x)", "sum -= bitcast<f32>(x[i].x)"],
    ["gradnorm.fold", "min(u.count, start + CHUNK); i++", "min(u.count, start + CHUNK - 1u); i++"],
    ["gradnorm.fold", "faulty |= x[i].y", "faulty &= x[i].y"],
  ]),

  ...faults("kernels/gradient.ts", "gpu/rows", "three times the same value", [
    ["gradients, recorded", "before ? sum(p, before, same, label) : same", "same"],
  ]),

  ...faults("kernels/l2norm/l2norm.wgsl.ts", "gpu/l2norm", "gradient", [
    ["l2norm.backward", "dy[start + i] - y[start + i] * along", "dy[start + i] + y[start + i] * along"],
    ["l2norm.backward", "largest_y / largest_x;", "largest_x / largest_y;"],
    ["l2norm.backward", "sum += y[start + i] * dy", "sum += x[start + i] * dy"],
  ]),

  ...faults("kernels/layernorm/layernorm.wgsl.ts", "gpu/layernorm", "gradients", [
    ["layernorm.backward", "weight[i] - g_mean - (x", "weight[i] + g_mean - (x"],
    ["layernorm.backward", "(x[at] - mean - delta) * slope", "(x[at] - mean + delta) * slope"],
    ["layernorm.backward", "scale * scale * sumOver", "scale * sumOver"],
    ["layernorm.backward", "let g = dy[start + i] * weight[i]", "let g = dy[start + i]"],
    ["layernorm.weight", "sum += dy[at] * ((x[at]", "sum -= dy[at] * ((x[at]"],
    ["layernorm.weight", "stats[3u * row] - stats[3u * row + 1u]) * stats", "stats[3u * row]) * stats"],
    ["layernorm.weight", "partial[group.y * u.width + column] = sum", "partial[column] = sum"],
  ]),
  ...faults("kernels/layernorm/layernorm.ts", "gpu/layernorm", "gradients", [
    ["layernorm, recorded", "columnSum(p, dy, dbias", "columnSum(p, x, dbias"],
  ]),

  ...faults("kernels/matmul/weight.wgsl.ts", "gpu/matmul", "1x24x44x64", [
    ["matmul.nt.lane", "vec4f(t0.x, t1.x, t2.x, t3.x)", "vec4f(t0.x, t2.x, t1.x, t3.x)"],
    ["matmul.nn.lane", "column + k * 4u * n4", "column + k * n4"],
    ["matmul.nn.plain", "weight4(at + 2u * n4)", "weight4(at + n4)"],
  ]),
  ...faults("kernels/matmul/lane.wgsl.ts", "gpu/matmul", "1x24x44x64", [
    ["matmul.nn.lane", "tile[${first}u + l] = sum", "tile[l] = sum"],
    ["matmul.tn.lane", "fma(vec4f(s1.${row}), b1", "fma(vec4f(-s1.${row}), b1"],
    ["matmul.tn.lane", "rowOfA(group.z * u.K + k${q}, m4)", "rowOfA(group.z * u.K + k${q}, n4)"],
  ]),
  ...faults("kernels/matmul/lane.wgsl.ts", "gpu/matmul", "1x36x7x20", [
    [
      "matmul.tn.lane",
      "select(vec4f(), weight4(column + k${q} * n4), k + ${q}u < u.kEnd)",
      "weight4(column + k${q} * n4)",
    ],
  ]),
  ...faults("kernels/matmul/plain.wgsl.ts", "gpu/matmul", "1x24x44x64", [
    ["matmul.nt.plain", "x${i}.y * b1 + x${i}.z * b2", "x${i}.z * b1 + x${i}.y * b2"],
    ["matmul.tn.plain", "a[a${q} + k * m4]", "a[a${q} + k * n4]"],
  ]),
  ...faults("kernels/matmul/tile.wgsl.ts", "gpu/matmul", "1x24x44x64", [
    ["matmul.nn.tile", "fma(vec4f(x${i}.${component})", "fma(vec4f(-x${i}.${component})"],
    ["matmul.tn.tile", "select(k * u.M + row,", "select(k * u.N + row,"],
    ["matmul.nt.tile", "let l = k0 + bk;", "let l = bk;"],
  ]),
  ...faults("kernels/matmul/matmul.wgsl.ts", "gpu/matmul", "1x24x44x64", [
    ["matmul.nt.few", "dot(x, t2), dot(x, t3)", "dot(x, t3), dot(x, t2)"],
  ]),
  ...faults("kernels/matmul/matmul.wgsl.ts", "golden/ops-matmul", "16x96x48", [
    ["matmul, accumulated", "value += vec4f(out[at], out[at + 1u]", "value -= vec4f(out[at], out[at + 1u]"],
  ]),
  ...faults(
    "kernels/matmul/matmul.ts",
    "golden/ops-matmul",
    "5x7x17x9|64x64x64|7x17x65_bias|3x65x129_residual|sharedb",
    [
      ["matmul, recorded", 'product(dout, b, "nt", "a", to)', 'product(dout, b, "nn", "a", to)'],
      ["matmul, recorded", 'product(dout, b, "nn", "a", to)', 'product(dout, b, "nt", "a", to)'],
      ["matmul, recorded", 'product(b, dout, "nt", "a", to)', 'product(dout, b, "nt", "a", to)'],
      ["matmul, recorded", 'product(x, dy, "tn", "b", to)', 'product(dy, x, "tn", "b", to)'],
      ["matmul, recorded", 'product(dy, x, "tn", "b", to)', 'product(x, dy, "tn", "b", to)'],
      ["matmul, recorded", 'product(x, dy, "nn", "b", to)', 'product(dy, x, "nn", "b", to)'],
      ["matmul, recorded", "addGradient(p, gradients, o.residual, dout);", ""],
      ["matmul, recorded", "[stack(a), stack(dout)]", "[a, dout]"],
      ["matmul, recorded", "columnSum(p, stack(dout), bias,", "columnSum(p, stack(dout), { ...bias, accumulate: 1 },"],
    ],
  ),
  ...faults("kernels/matmul/matmul.ts", "gpu/matmul", "a weight in two parts", [
    [
      "matmul, recorded",
      "{ from: start, to: end, label: `d ${label}[",
      "{ from: 0, to: end - start, label: `d ${label}[",
    ],
  ]),

  ...faults("kernels/patch/patch.wgsl.ts", "gpu/patch", "gradient", [
    ["patch.rows.backward", "((image * u.grid + py) * u.grid + px)", "((image * u.grid + px) * u.grid + py)"],
    ["patch.rows.backward", "(row * u.patch_y + y % u.patch_y)", "(row * u.patch_y + y)"],
    ["patch.rows.backward", "if (px < u.grid && py < u.grid)", "if (px <= u.grid && py < u.grid)"],
  ]),
  ...faults("kernels/patch/patch.ts", "gpu/patch", "gradient", [
    ["patch.tokens, recorded", "from: [0, n], to: [1, length]", "from: [0, n], to: [0, length]"],
    ["patch.tokens, recorded", "count: batch, period: 1, from: [0, 0]", "count: 1, period: 1, from: [0, 0]"],
    ["patch.tokens, recorded", "count: batch * length, period: length", "count: length, period: length"],
  ]),

  ...faults("kernels/rows/rows.wgsl.ts", "gpu/rows", "gradients", [
    ["rows.copy.backward", "value += dy[", "value -= dy["],
    ["rows.copy.backward", "let distance = row - u.from_first", "let distance = row"],
    [
      "rows.copy.backward",
      "(u.to_first + group * u.to_group + item) * u.width + column];\n      }",
      "(group * u.to_group + item) * u.width + column];\n      }",
    ],
    [
      "rows.copy.backward",
      "select(first, u.copied / u.period, repeated)",
      "select(first, u.copied / u.period - 1u, repeated)",
    ],
  ]),
  ...faults("kernels/rows/rows.wgsl.ts", "gpu/rows", "three times the same value", [
    ["rows.add", "y[i] = x[i] + table[", "y[i] = x[i] - table["],
  ]),
  ...faults("kernels/rows/rows.wgsl.ts", "gpu/matmul", "a weight in two parts", [
    ["rows.columns", "row * u.stride + u.first + column", "row * u.stride + column"],
  ]),

  ...faults("kernels/softmax/softmax.wgsl.ts", "gpu/softmax", "gradient", [
    ["softmax.backward", "y[at] * (dy[at] - sum)", "y[at] * (dy[at] + sum)"],
    ["softmax.backward", "dy[at] - exp(max", "dy[at] + exp(max"],
    ["softmax.backward", "select(y[start + i], 1.0, u.logarithm", "select(1.0, y[start + i], u.logarithm"],
  ]),

  ...faults("runtime/tape.ts", "unit/runtime-tape", undefined, [
    [
      "tape",
      'known === 0 ? this.program.scalar("accumulate") : 1',
      'known === 0 ? 1 : this.program.scalar("accumulate")',
    ],
    ["tape", "known !== 0 && known !== total", "known === 0 && known !== total"],
  ]),
  ...faults("runtime/tape.ts", "gpu/rows", "adds up the gradients", [["tape", "make(this.get(t))", "make(undefined)"]]),
];
