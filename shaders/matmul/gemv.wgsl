// uses: order, store
// y = W·v: the product with M = 1 (W = Bᵀ, v = A) or N = 1 (W = A, v = B). It reads every weight once, so all threads of a
// workgroup stand along what is contiguous: SLICES of them share four rows, each takes every SLICES-th 4×4 block of those
// rows, and the partial sums meet in workgroup memory.
//
// w: [...batch, rows, K], rows or columns contiguous; v: [...batch, K], any stride; output: dense [...batch, rows].
// SUMMED: Σₖ of w or of v rides along.
// Rows beyond the edge are read as they come (WebGPU keeps such reads harmless) and never stored.
struct Params {
  rows: u32, K: u32,
  batches: u32, batch1: u32,
  wOffset: u32, wLead: u32, wBatch0: u32, wBatch1: u32,
  vOffset: u32, vStride: u32, vBatch0: u32, vBatch1: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<Element>;
@group(0) @binding(2) var<storage, read> v: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<Output>;

// vec4<f32> where w's offset, strides and contiguous extent are divisible by 4.
alias Element = f32;
const VEC4: bool = false;
// Whether w is contiguous along its rows instead of along K.
const TRANSPOSED: bool = false;
// K is divisible by 4.
const K_WHOLE: bool = false;
const SIZE: u32 = 128u;
const SLICES: u32 = 16u;
const BLOCKS: u32 = SIZE / SLICES;
// What is summed: 0 nothing, 1 w, 2 v.
const SUMMED: u32 = 0u;

var<workgroup> partial: array<vec4<f32>, SIZE>;
var<workgroup> partialSums: array<vec4<f32>, select(1u, SIZE, SUMMED != 0u)>;

// Four neighbours. The constructors make one text valid for both element types; only the branch that fits is compiled.
fn read4(index: u32) -> vec4<f32> {
  if (VEC4) { return vec4<f32>(w[index / 4u]); }
  return vec4<f32>(vec4<f32>(w[index]).x, vec4<f32>(w[index + 1u]).x, vec4<f32>(w[index + 2u]).x, vec4<f32>(w[index + 3u]).x);
}

// Column i is column k+i of four rows, zero from K on: what is read there may be infinite.
fn block(base: u32, row: u32, k: u32) -> mat4x4<f32> {
  let lead = params.wLead;
  let first = base + select(row * lead + k, k * lead + row, TRANSPOSED);
  var block = mat4x4<f32>(read4(first), read4(first + lead), read4(first + 2u * lead), read4(first + 3u * lead));
  if (!TRANSPOSED) { block = transpose(block); }
  if (K_WHOLE) { return block; }
  let zero = vec4<f32>();
  return mat4x4<f32>(
    block[0], select(zero, block[1], k + 1u < params.K), select(zero, block[2], k + 2u < params.K), select(zero, block[3], k + 3u < params.K));
}
fn element(base: u32, k: u32) -> f32 {
  if (K_WHOLE || k < params.K) { return v[base + k * params.vStride]; }
  return 0.0;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let groups = (params.rows + 4u * BLOCKS - 1u) / (4u * BLOCKS);
  let tile = linearGroup(group, num_workgroups);
  let batch = tile / groups;
  let slice = select(lane % SLICES, lane / BLOCKS, TRANSPOSED);
  let ownBlock = select(lane / SLICES, lane % BLOCKS, TRANSPOSED);
  let row = (tile % groups * BLOCKS + ownBlock) * 4u;
  let baseW = params.wOffset + batch / params.batch1 * params.wBatch0 + batch % params.batch1 * params.wBatch1;
  let baseV = params.vOffset + batch / params.batch1 * params.vBatch0 + batch % params.batch1 * params.vBatch1;

  var sum = vec4<f32>();
  var sums = vec4<f32>();
  for (var k = slice * 4u; k < params.K; k += SLICES * 4u) {
    let weights = block(baseW, row, k);
    let elements = vec4<f32>(element(baseV, k), element(baseV, k + 1u), element(baseV, k + 2u), element(baseV, k + 3u));
    sum += elements.x * weights[0] + elements.y * weights[1] + elements.z * weights[2] + elements.w * weights[3];
    if (SUMMED == 1u) { sums += weights[0] + weights[1] + weights[2] + weights[3]; }
    if (SUMMED == 2u) { sums += elements; }
  }
  let place = ownBlock * SLICES + slice;
  partial[place] = sum;
  if (SUMMED != 0u) { partialSums[place] = sums; }
  workgroupBarrier();

  if (slice == 0u && row < params.rows && batch < params.batches) {
    for (var i = 1u; i < SLICES; i++) { sum += partial[place + i]; }
    if (SUMMED != 0u) {
      for (var i = 1u; i < SLICES; i++) { sums += partialSums[place + i]; }
    }
    if (SUMMED == 1u) {
      for (var j = 0u; j < min(4u, params.rows - row); j++) { storeSum(row + j, sums[j]); }
    }
    if (SUMMED == 2u && row == 0u) { storeSum(0u, sums.x + sums.y + sums.z + sums.w); }
    store4(batch * params.rows + row, sum, params.rows - row);
  }
}
