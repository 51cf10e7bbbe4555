// uses: order.wgsl, philox.wgsl
// Attention, backward, gradients of keys and values, in registers: dV = Pᵀ dO, dK = scale dSᵀ Q.
//
// A lane takes four keys and walks over blocks of four query rows with all it needs in registers (a 4×4 block of scores: column
// = key, component = row): no workgroup memory, no barrier, for adapters where these cost most. Grid: [tiles of 32 keys, H, B].
// Bindings as in dkdv.wgsl.
//
// The head size, whether keys after the query are hidden, and the element type of the buffers of rows: f32, or
// vec4<f32> (with the load and store hooks replaced) where D, strides and offsets are multiples of four.
const D: u32 = 64u;
const CAUSAL: bool = false;
alias Element = f32;
const HIDDEN: f32 = -1e30; // the score of a key that does not count
const MASKED: f32 = -1e8; // scores below this are hidden: additive masks use -1e9 and lower
const COLUMNS: u32 = (D + 3u) / 4u; // vec4 columns of a head
const SIZE: u32 = 8u;

struct Params {
  H: u32, L: u32, S: u32,
  columns: u32,
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
fn store(base: u32, column: u32, value: vec4<f32>) {
  for (var x = 0u; x < min(4u, D - 4u * column); x++) { result[base + 4u * column + x] = value[x]; }
}

fn queryBlock(base: u32, row: u32, column: u32) -> mat4x4<f32> {
  let last = params.L - 1u;
  return mat4x4<f32>(
    loadQ(base + min(row, last) * params.qRow, column),
    loadQ(base + min(row + 1u, last) * params.qRow, column),
    loadQ(base + min(row + 2u, last) * params.qRow, column),
    loadQ(base + min(row + 3u, last) * params.qRow, column),
  );
}
fn keyBlock(base: u32, row: u32, column: u32) -> mat4x4<f32> {
  let last = params.S - 1u;
  return mat4x4<f32>(
    loadK(base + min(row, last) * params.kRow, column),
    loadK(base + min(row + 1u, last) * params.kRow, column),
    loadK(base + min(row + 2u, last) * params.kRow, column),
    loadK(base + min(row + 3u, last) * params.kRow, column),
  );
}
fn valueBlock(base: u32, row: u32, column: u32) -> mat4x4<f32> {
  let last = params.S - 1u;
  return mat4x4<f32>(
    loadV(base + min(row, last) * params.vRow, column),
    loadV(base + min(row + 1u, last) * params.vRow, column),
    loadV(base + min(row + 2u, last) * params.vRow, column),
    loadV(base + min(row + 3u, last) * params.vRow, column),
  );
}
fn gradientBlock(base: u32, row: u32, column: u32) -> mat4x4<f32> {
  let last = params.L - 1u;
  return mat4x4<f32>(
    loadDO(base + min(row, last) * params.dORow, column),
    loadDO(base + min(row + 1u, last) * params.dORow, column),
    loadDO(base + min(row + 2u, last) * params.dORow, column),
    loadDO(base + min(row + 3u, last) * params.dORow, column),
  );
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

  var dK: array<mat4x4<f32>, COLUMNS>; // columns = keys
  var dV: array<mat4x4<f32>, COLUMNS>;
  for (var row = select(0u, key, CAUSAL); row < params.L; row += 4u) {
    var products = mat4x4<f32>(); // Q Kᵀ
    var slopes = mat4x4<f32>(); // dO Vᵀ
    for (var column = 0u; column < params.columns; column++) {
      products += transpose(queryBlock(qBase, row, column)) * keyBlock(kBase, key, column);
      slopes += transpose(gradientBlock(dOBase, row, column)) * valueBlock(vBase, key, column);
    }
    let saved = statisticsBlock(batch, head, row);
    let p = mat4x4<f32>(
      weigh(finishScores(products[0], batch, head, row, key), saved.lse),
      weigh(finishScores(products[1], batch, head, row, key + 1u), saved.lse),
      weigh(finishScores(products[2], batch, head, row, key + 2u), saved.lse),
      weigh(finishScores(products[3], batch, head, row, key + 3u), saved.lse),
    );
    let factors = dropoutFactors(batch, head, row, key);
    let delta = mat4x4<f32>(saved.delta, saved.delta, saved.delta, saved.delta);
    let dS = times(p, times(slopes, factors) - delta);
    let kept = times(p, factors);
    for (var column = 0u; column < params.columns; column++) {
      dK[column] += queryBlock(qBase, row, column) * dS;
      dV[column] += gradientBlock(dOBase, row, column) * kept;
    }
  }

  for (var c = 0u; c < min(4u, params.S - key); c++) {
    let base = (batch * params.S + key + c) * params.outRow + head * D;
    for (var column = 0u; column < params.columns; column++) {
      store(params.outFirst + base, column, dK[column][c] * params.scale);
      store(params.outSecond + base, column, dV[column][c]);
    }
  }
}
