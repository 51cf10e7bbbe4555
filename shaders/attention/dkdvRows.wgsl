// uses: order.wgsl, philox.wgsl
// Attention, backward, gradients of keys and values, without workgroup memory: dV = Pᵀ dO, dK = scale dSᵀ Q.
//
// A lane takes four keys and walks over the query rows by eight blocks of four, scored one after another (a 4×4 block: column
// = key, component = row). What it sums up lies in its own rows of the result: arrays in registers of the size of a head
// cost seconds of compilation on some adapters, and workgroup memory and barriers are slow on others.
// Grid: [tiles of 32 keys, H, B].
// Bindings as in dkdv.wgsl.
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
  dOOffset: u32, dOBatch: u32, dOHead: u32, dORow: u32,
  outRow: u32, outFirst: u32, outSecond: u32,
  maskOffset: u32, maskBatch: u32, maskHead: u32, maskRow: u32, maskKey: u32,
  dropout: f32, keepScale: f32, stream: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;
@group(0) @binding(4) var<storage, read> dO: array<Element>;
@group(0) @binding(5) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(6) var<storage, read_write> result: array<Element>;

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
fn loadDO(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(dO[i], dO[i + 1u], dO[i + 2u], dO[i + 3u]), inside(column));
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
fn gradientBlock(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadDO(at.x, column), loadDO(at.y, column), loadDO(at.z, column), loadDO(at.w, column));
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
struct Saved { lse: vec4<f32>, delta: vec4<f32> }
fn statisticsBlock(batch: u32, head: u32, row: u32) -> Saved {
  let base = (batch * params.H + head) * params.L;
  let last = params.L - 1u;
  let a = statistics[base + min(row, last)];
  let b = statistics[base + min(row + 1u, last)];
  let c = statistics[base + min(row + 2u, last)];
  let d = statistics[base + min(row + 3u, last)];
  return Saved(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y));
}
fn times(a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> { return mat4x4<f32>(a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]); }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let qBase = params.qOffset + batch * params.qBatch + head * params.qHead;
  let kBase = params.kOffset + batch * params.kBatch + head * params.kHead;
  let vBase = params.vOffset + batch * params.vBatch + head * params.vHead;
  let dOBase = params.dOOffset + batch * params.dOBatch + head * params.dOHead;
  let key = (group.x * SIZE + lane) * 4u;
  if (key >= params.S) { return; }

  let live = min(4u, params.S - key);
  let keys = places(kBase, key, params.kRow, params.S);
  let values = places(vBase, key, params.vRow, params.S);
  let results = (batch * params.S + key + vec4<u32>(0u, 1u, 2u, 3u)) * params.outRow + head * D;
  let start = select(0u, key, CAUSAL);
  // Keys that no query sees have gradients of zero; elsewhere the first step sets what the others add to.
  if (start >= params.L) {
    for (var r = 0u; r < live; r++) {
      for (var column = 0u; column < params.columns; column++) {
        store(params.outFirst + results[r], column, vec4<f32>());
        store(params.outSecond + results[r], column, vec4<f32>());
      }
    }
  }

  var dS: array<mat4x4<f32>, BLOCKS>; // of keys (columns) and queries (components)
  var kept: array<mat4x4<f32>, BLOCKS>; // weights after dropout
  for (var first = start; first < params.L; first += 4u * BLOCKS) {
    let blocks = min(BLOCKS, (params.L - first + 3u) / 4u);
    for (var block = 0u; block < blocks; block++) {
      let row = first + 4u * block;
      let queries = places(qBase, row, params.qRow, params.L);
      let gradients = places(dOBase, row, params.dORow, params.L);
      var products = mat4x4<f32>(); // Q Kᵀ
      var slopes = mat4x4<f32>(); // dO Vᵀ
      for (var column = 0u; column < params.columns; column++) {
        products += transpose(queryBlock(queries, column)) * keyBlock(keys, column);
        slopes += transpose(gradientBlock(gradients, column)) * valueBlock(values, column);
      }
      let saved = statisticsBlock(batch, head, row);
      let delta = mat4x4<f32>(saved.delta, saved.delta, saved.delta, saved.delta);
      let p = mat4x4<f32>(
        weigh(finishScores(products[0], batch, head, row, key), saved.lse),
        weigh(finishScores(products[1], batch, head, row, key + 1u), saved.lse),
        weigh(finishScores(products[2], batch, head, row, key + 2u), saved.lse),
        weigh(finishScores(products[3], batch, head, row, key + 3u), saved.lse),
      );
      let factors = dropoutFactors(batch, head, row, key);
      dS[block] = times(p, times(slopes, factors) - delta) * params.scale;
      kept[block] = times(p, factors);
    }
    for (var column = 0u; column < params.columns; column++) {
      var dK = mat4x4<f32>(); // columns = keys
      var dV = mat4x4<f32>();
      for (var block = 0u; block < blocks; block++) {
        let row = first + 4u * block;
        dK += queryBlock(places(qBase, row, params.qRow, params.L), column) * dS[block];
        dV += gradientBlock(places(dOBase, row, params.dORow, params.L), column) * kept[block];
      }
      for (var r = 0u; r < live; r++) {
        let atK = params.outFirst + results[r];
        let atV = params.outSecond + results[r];
        let initial = first == start;
        store(atK, column, select(loadResult(atK, column), vec4<f32>(), initial) + dK[r]);
        store(atV, column, select(loadResult(atV, column), vec4<f32>(), initial) + dV[r]);
      }
    }
  }
}
