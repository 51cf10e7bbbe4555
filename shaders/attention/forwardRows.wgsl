// uses: order.wgsl, philox.wgsl
// Attention, forward, without workgroup memory: softmax(scale Q Kᵀ + mask) V with a running maximum and sum (FlashAttention-2).
//
// A lane takes four query rows and walks over the keys by eight blocks of four, scored one after another (a 4×4 block: column
// = key, component = row). What it sums up lies in its own rows of the result: arrays in registers of the size of a head
// cost seconds of compilation on some adapters, and workgroup memory and barriers are slow on others.
// Grid: [tiles of 32 rows, H, B].
// Bindings as in forward.wgsl.
//
// The head size, whether keys after the query are hidden, and the element type of the buffers of rows: f32, or
// vec4<f32> (with the load and store hooks replaced) where D, strides and offsets are multiples of four.
const D: u32 = 64u;
const CAUSAL: bool = false;
alias Element = f32;
const HIDDEN: f32 = -1e30; // the score of a key that does not count
const MASKED: f32 = -1e8; // scores below this are hidden: additive masks use -1e9 and lower
const BLOCKS: u32 = 8u; // blocks of four that are scored before results are updated
const SIZE: u32 = 8u;

struct Params {
  H: u32, L: u32, S: u32,
  columns: u32, // vec4 columns of a head; a uniform, since compilers unroll loops of constant length
  scale: f32,
  qOffset: u32, qBatch: u32, qHead: u32, qRow: u32,
  kOffset: u32, kBatch: u32, kHead: u32, kRow: u32,
  vOffset: u32, vBatch: u32, vHead: u32, vRow: u32,
  maskOffset: u32, maskBatch: u32, maskHead: u32, maskRow: u32, maskKey: u32,
  dropout: f32, keepScale: f32, stream: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;
@group(0) @binding(4) var<storage, read_write> result: array<Element>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

// Hook: scores of four query rows and one key, plus the additive mask.
fn addMask(scores: vec4<f32>, batch: u32, head: u32, row: u32, key: u32) -> vec4<f32> { return scores; }
// Hook: what dropout multiplies the weights of four query rows and four keys by.
fn dropoutFactors(batch: u32, head: u32, row: u32, key: u32) -> mat4x4<f32> {
  return mat4x4<f32>(vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(1.0));
}

fn inside(column: u32) -> vec4<bool> { return 4u * column + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(D); }
fn loadQ(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(q[i], q[i + 1u], q[i + 2u], q[i + 3u]), inside(column));
}
fn loadK(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(k[i], k[i + 1u], k[i + 2u], k[i + 3u]), inside(column));
}
fn loadV(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(v[i], v[i + 1u], v[i + 2u], v[i + 3u]), inside(column));
}
fn loadResult(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(result[i], result[i + 1u], result[i + 2u], result[i + 3u]), inside(column));
}
fn store(base: u32, column: u32, value: vec4<f32>) {
  for (var x = 0u; x < min(4u, D - 4u * column); x++) { result[base + 4u * column + x] = value[x]; }
}

// Where four rows begin; those past the end are the last one again.
fn places(base: u32, row: u32, stride: u32, rows: u32) -> vec4<u32> {
  return base + min(row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u)) * stride;
}
fn queryBlock(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadQ(at.x, column), loadQ(at.y, column), loadQ(at.z, column), loadQ(at.w, column));
}
fn keyBlock(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadK(at.x, column), loadK(at.y, column), loadK(at.z, column), loadK(at.w, column));
}
fn valueBlock(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadV(at.x, column), loadV(at.y, column), loadV(at.z, column), loadV(at.w, column));
}
// Scores of four query rows and one key; HIDDEN where the key is masked, or row or key lie outside.
fn finishScores(products: vec4<f32>, batch: u32, head: u32, row: u32, key: u32) -> vec4<f32> {
  let rows = row + vec4<u32>(0u, 1u, 2u, 3u);
  let scores = addMask(products * params.scale, batch, head, row, key);
  let outside = (rows >= vec4<u32>(params.L)) | vec4<bool>(key >= params.S) | (vec4<bool>(CAUSAL) & (rows < vec4<u32>(key)));
  return select(scores, vec4<f32>(HIDDEN), outside | (scores < vec4<f32>(MASKED)));
}
// exp(score - reference), exactly 0 for hidden keys.
fn weigh(scores: vec4<f32>, reference: vec4<f32>) -> vec4<f32> {
  return select(exp(max(scores - reference, vec4<f32>(-100.0))), vec4<f32>(), scores <= vec4<f32>(HIDDEN));
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let qBase = params.qOffset + batch * params.qBatch + head * params.qHead;
  let kBase = params.kOffset + batch * params.kBatch + head * params.kHead;
  let vBase = params.vOffset + batch * params.vBatch + head * params.vHead;
  let row = (group.x * SIZE + lane) * 4u;
  if (row >= params.L) { return; }
  let end = select(params.S, min(params.S, row + 4u), CAUSAL);

  let live = min(4u, params.L - row);
  let queries = places(qBase, row, params.qRow, params.L);
  let results = ((batch * params.L + row) * params.H + head) * D + vec4<u32>(0u, 1u, 2u, 3u) * params.H * D;

  var weights: array<mat4x4<f32>, BLOCKS>; // scores, then weights
  var peak = vec4<f32>(HIDDEN);
  var total = vec4<f32>();
  for (var first = 0u; first < end; first += 4u * BLOCKS) {
    let blocks = min(BLOCKS, (end - first + 3u) / 4u);
    let before = peak;
    for (var block = 0u; block < blocks; block++) {
      let key = first + 4u * block;
      let keys = places(kBase, key, params.kRow, params.S);
      var products = mat4x4<f32>();
      for (var column = 0u; column < params.columns; column++) {
        products += transpose(queryBlock(queries, column)) * keyBlock(keys, column);
      }
      let scores = mat4x4<f32>(
        finishScores(products[0], batch, head, row, key),
        finishScores(products[1], batch, head, row, key + 1u),
        finishScores(products[2], batch, head, row, key + 2u),
        finishScores(products[3], batch, head, row, key + 3u),
      );
      peak = max(peak, max(max(scores[0], scores[1]), max(scores[2], scores[3])));
      weights[block] = scores;
    }
    let shrink = exp(max(before - peak, vec4<f32>(-100.0)));
    total *= shrink;
    for (var block = 0u; block < blocks; block++) {
      let scores = weights[block];
      let p = mat4x4<f32>(weigh(scores[0], peak), weigh(scores[1], peak), weigh(scores[2], peak), weigh(scores[3], peak));
      let factors = dropoutFactors(batch, head, row, first + 4u * block);
      total += p[0] + p[1] + p[2] + p[3];
      weights[block] = transpose(mat4x4<f32>(p[0] * factors[0], p[1] * factors[1], p[2] * factors[2], p[3] * factors[3]));
    }
    for (var column = 0u; column < params.columns; column++) {
      var added = mat4x4<f32>();
      for (var block = 0u; block < blocks; block++) {
        added += valueBlock(places(vBase, first + 4u * block, params.vRow, params.S), column) * weights[block];
      }
      for (var r = 0u; r < live; r++) {
        let old = select(loadResult(results[r], column), vec4<f32>(), first == 0u);
        store(results[r], column, old * shrink[r] + added[r]);
      }
    }
  }

  let empty = total <= vec4<f32>();
  let inverse = select(1.0 / max(total, vec4<f32>(1e-30)), vec4<f32>(), empty);
  let logSum = select(peak + log(max(total, vec4<f32>(1e-30))), vec4<f32>(-HIDDEN), empty);
  for (var r = 0u; r < live; r++) {
    for (var column = 0u; column < params.columns; column++) {
      store(results[r], column, loadResult(results[r], column) * inverse[r]);
    }
    lse[(batch * params.H + head) * params.L + row + r] = logSum[r];
  }
}
