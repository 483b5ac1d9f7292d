import { type KernelSpec, read, type UniformField, write } from "../../runtime/kernel.js";
import { MAX_BEAMS } from "./limits.js";
import { CANDIDATE_ORDER, IS_STOP, STOP_FIELDS } from "./shared.wgsl.js";

const PICK_UNIFORMS: readonly UniformField[] = [
  ["images", "u32"],
  ["beams", "u32"],
  ["rowsPerLogits", "u32"],
  ["listLength", "u32"],
  ["vocab", "u32"],
  ["maxTokens", "u32"],
  ["step", "u32"],
  ["inverseTemperature", "f32"],
  ...STOP_FIELDS,
];

/** Both rules merge the sorted lists of an image's rows: beam b has handed out the first `taken[b]` of its own. */
const LISTS = /* wgsl */ `
${CANDIDATE_ORDER}
${IS_STOP}
struct Candidate { token: u32, logProbability: f32 }

fn candidate(row: u32, j: u32) -> Candidate {
  let base = row / u.rowsPerLogits * (u.listLength + 1u);
  let sums = bitcast<vec2f>(top[base]);
  let e = top[base + 1u + j];
  // A banned logit: -1e30 keeps products and sums finite.
  return Candidate(e.y, max(bitcast<f32>(e.x) - sums.x, -1e30) * u.inverseTemperature - sums.y);
}`;

/**
 * Rule "mean", one thread per image: the candidates with the best mean log-probability. A stopped beam has one
 * candidate, token 0 at no cost; beams come out best first, so once all have stopped nothing moves. moves[row].x is the
 * row that beam continues.
 */
export const pickByMean: KernelSpec = {
  name: "decode.beam.mean",
  bindings: [
    read("top", "vec2u"),
    write("length", "u32"),
    write("score", "f32"),
    write("stopped", "u32"),
    write("next", "u32"),
    write("moves", "vec4u"),
  ],
  uniforms: PICK_UNIFORMS,
  constants: { MAX_BEAMS },
  workgroup: [8, 1, 1],
  body: /* wgsl */ `
${LISTS}
@compute fn main(@builtin(global_invocation_id) at: vec3u) {
  let image = at.x;
  if (image >= u.images || u.step >= u.maxTokens) { return; }
  let base = image * u.beams;
  let first = u.step == 0u;
  var sum: array<f32, MAX_BEAMS>;
  var count: array<u32, MAX_BEAMS>;
  var done: array<u32, MAX_BEAMS>;
  var taken: array<u32, MAX_BEAMS>;
  for (var b = 0u; b < u.beams; b++) {
    sum[b] = select(score[base + b], 0.0, first);
    count[b] = select(length[base + b], 0u, first);
    done[b] = select(stopped[base + b], 0u, first);
    taken[b] = 0u;
  }
  // All rows of an image are equal at step 0: only the first one counts.
  let lists = select(u.beams, 1u, first);
  for (var slot = 0u; slot < u.beams; slot++) {
    var bestMean = LOWEST;
    var bestSum = 0.0;
    var best = 0u;
    var token = 0u;
    for (var b = 0u; b < lists; b++) {
      if (taken[b] == select(u.listLength, 1u, done[b] == 1u)) { continue; }
      var c = Candidate(0u, 0.0);
      if (done[b] == 0u) { c = candidate(base + b, taken[b]); }
      if (c.token == NONE) { continue; }
      let total = sum[b] + c.logProbability;
      let mean = total / f32(count[b] + 1u - done[b]);
      if (mean > bestMean) {
        bestMean = mean;
        bestSum = total;
        best = b;
        token = c.token;
      }
    }
    taken[best]++;
    let row = base + slot;
    moves[row] = vec4u(base + best, 0u, 0u, 0u);
    next[row] = token;
    score[row] = bestSum;
    length[row] = count[best] + 1u - done[best];
    stopped[row] = select(0u, 1u, done[best] == 1u || isStop(token));
  }
}`,
};

/**
 * Rule "length-normalised", one thread per image: live beams by their sum of log-probabilities; a stop token among the
 * first `beams` candidates offers a finished hypothesis to the pool. moves[slot] = (row that beam continues, row that
 * pool slot copies + 1 or 0, the stop token behind it, 0).
 */
export const pickByLength: KernelSpec = {
  name: "decode.beam.length",
  bindings: [...pickByMean.bindings, write("poolLength", "u32"), write("poolScore", "f32")],
  uniforms: [...PICK_UNIFORMS, ["alpha", "f32"]],
  constants: { MAX_BEAMS },
  workgroup: [8, 1, 1],
  body: /* wgsl */ `
${LISTS}
fn normalised(sum: f32, count: u32) -> f32 { return sum / pow(f32(count), u.alpha); }

// Puts a hypothesis into the first empty slot, else in place of the worst one if it is better.
fn offer(base: u32, source: u32, token: u32, sum: f32, count: u32) {
  var slot = 0u;
  var worst = 3.4e38;
  for (var i = 0u; i < u.beams; i++) {
    if (poolLength[base + i] == 0u) { slot = i; worst = LOWEST; break; }
    let value = normalised(poolScore[base + i], poolLength[base + i]);
    if (value < worst) { slot = i; worst = value; }
  }
  if (normalised(sum, count) <= worst) { return; }
  poolLength[base + slot] = count;
  poolScore[base + slot] = sum;
  moves[base + slot].y = source + 1u;
  moves[base + slot].z = token;
}

@compute fn main(@builtin(global_invocation_id) at: vec3u) {
  let image = at.x;
  if (image >= u.images || u.step >= u.maxTokens) { return; }
  let base = image * u.beams;
  let first = u.step == 0u;
  var sum: array<f32, MAX_BEAMS>;
  var taken: array<u32, MAX_BEAMS>;
  let done = !first && stopped[base] == 1u; // a search ends for all beams of an image at once
  for (var b = 0u; b < u.beams; b++) {
    sum[b] = select(score[base + b], 0.0, first);
    taken[b] = 0u;
    moves[base + b] = vec4u(base + b, 0u, 0u, 0u);
    if (done) { next[base + b] = 0u; }
    if (first) { poolLength[base + b] = 0u; }
  }
  if (done) { return; }
  let lists = select(u.beams, 1u, first);
  let count = u.step + 1u;
  var live = 0u;
  for (var rank = 0u; live < u.beams && rank < lists * u.listLength; rank++) {
    var bestSum = LOWEST;
    var best = 0u;
    var token = 0u;
    for (var b = 0u; b < lists; b++) {
      if (taken[b] == u.listLength) { continue; }
      let c = candidate(base + b, taken[b]);
      if (c.token == NONE) { continue; }
      if (sum[b] + c.logProbability > bestSum) {
        bestSum = sum[b] + c.logProbability;
        best = b;
        token = c.token;
      }
    }
    taken[best]++;
    if (isStop(token)) {
      if (rank < u.beams) { offer(base, base + best, token, bestSum, count); }
      continue;
    }
    moves[base + live].x = base + best;
    next[base + live] = token;
    score[base + live] = bestSum;
    length[base + live] = count;
    live++;
  }
  var full = true;
  var worst = 3.4e38;
  for (var i = 0u; i < u.beams; i++) {
    full = full && poolLength[base + i] != 0u;
    worst = min(worst, normalised(poolScore[base + i], max(1u, poolLength[base + i])));
  }
  let ended = full && normalised(score[base], count) <= worst;
  for (var b = 0u; b < u.beams; b++) { stopped[base + b] = select(0u, 1u, ended); }
}`,
};

/** One thread per (pool slot, column): copies the tokens of hypotheses that entered the pool in this step. */
export const fillPool: KernelSpec = {
  name: "decode.beam.pool",
  bindings: [read("moves", "vec4u"), read("tokens", "u32"), write("poolTokens", "u32")],
  uniforms: [
    ["maxTokens", "u32"],
    ["step", "u32"],
  ],
  workgroup: [64, 1, 1],
  body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) at: vec3u) {
  let column = at.x;
  if (column > u.step || u.step >= u.maxTokens) { return; }
  let taken = moves[at.y];
  if (taken.y == 0u) { return; }
  var token = taken.z;
  if (column < u.step) { token = tokens[(taken.y - 1u) * u.maxTokens + column]; }
  poolTokens[at.y * u.maxTokens + column] = token;
}`,
};

/**
 * One thread per (image, column): reads the column of all beams, then writes it in the new order, so that it may work
 * in place. Tokens before `step`, ancestry before `position`; at those two the new token and the own cache row.
 */
export const reorder: KernelSpec = {
  name: "decode.beam.reorder",
  bindings: [read("moves", "vec4u"), read("next", "u32"), write("tokens", "u32"), write("ancestry", "u32")],
  uniforms: [
    ["beams", "u32"],
    ["maxTokens", "u32"],
    ["capacity", "u32"],
    ["step", "u32"],
    ["position", "u32"],
  ],
  constants: { MAX_BEAMS },
  workgroup: [64, 1, 1],
  body: /* wgsl */ `
@compute fn main(@builtin(global_invocation_id) at: vec3u) {
  let column = at.x;
  let base = at.y * u.beams;
  if (u.step >= u.maxTokens) { return; }
  var old: array<u32, MAX_BEAMS>;
  if (column < u.step) {
    for (var b = 0u; b < u.beams; b++) { old[b] = tokens[(base + b) * u.maxTokens + column]; }
    for (var b = 0u; b < u.beams; b++) { tokens[(base + b) * u.maxTokens + column] = old[moves[base + b].x - base]; }
  } else if (column == u.step) {
    for (var b = 0u; b < u.beams; b++) { tokens[(base + b) * u.maxTokens + column] = next[base + b]; }
  }
  if (column >= u.capacity) { return; }
  if (column < u.position) {
    for (var b = 0u; b < u.beams; b++) { old[b] = ancestry[(base + b) * u.capacity + column]; }
    for (var b = 0u; b < u.beams; b++) { ancestry[(base + b) * u.capacity + column] = old[moves[base + b].x - base]; }
  } else if (column == u.position) {
    for (var b = 0u; b < u.beams; b++) { ancestry[(base + b) * u.capacity + column] = base + b; }
  }
}`,
};
