// uses: order.wgsl, sideSum.wgsl
// C = A·B with blocks of C in registers and no workgroup memory: what a processor without a GPU's local memory does best.
// A thread owns BLOCKS×BLOCKS blocks of 4×4 and walks along K four steps at a time. Column i of an A block is row m+i along
// k, column i of a B block is row k+i along n, so that c += b * a has row m+i of C in its column i. An operand that is
// contiguous the other way is read as it lies and transposed in registers: NN, NT, TN and TT cost the same.
//
// a: [...batch, M, K], b: [...batch, K, N], any strides where one of the last two is 1; output: dense [...batch, M, N].
// Rows and columns beyond the edge are read as they come (WebGPU keeps such reads harmless) and never stored.
// With params.splits > 1 slice s of K makes its own partial product: output is [splits, ...batch, M, N].
// SUMMED: Σₖ of one operand, contiguous across K, rides along: the first column (row) of tiles reads it once more.
struct Params {
  M: u32, N: u32, K: u32,
  splits: u32, slice: u32,
  batches: u32, batch1: u32,
  aOffset: u32, aLead: u32, aBatch0: u32, aBatch1: u32,
  bOffset: u32, bLead: u32, bBatch0: u32, bBatch1: u32,
  sides: u32, sideRows: u32, sideColumns: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AElement>;
@group(0) @binding(2) var<storage, read> b: array<BElement>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;

// vec4<f32> where offset, strides and the contiguous extent are divisible by 4.
alias AElement = f32;
alias BElement = f32;
const A_VEC4: bool = false;
const B_VEC4: bool = false;
// Transposed: contiguous along M (of A), along K (of B).
const A_TRANSPOSED: bool = false;
const B_TRANSPOSED: bool = false;
// K is divisible by 4; N is, so that four columns are stored as one.
const K_WHOLE: bool = false;
const N_WHOLE: bool = false;
// Blocks of a thread along M and along N (1 or 2); threads of a workgroup along M and N.
const BLOCKS: u32 = 1u;
const THREADS_M: u32 = 8u;
const THREADS_N: u32 = 8u;
// The operand that is summed: 0 neither, 1 A, 2 B.
const SUMMED: u32 = 0u;
const BLOCK: u32 = 128u;
const SIZE: u32 = THREADS_M * THREADS_N;
const TILE_M: u32 = 4u * BLOCKS * THREADS_M;
const TILE_N: u32 = 4u * BLOCKS * THREADS_N;

fn store(index: u32, value: f32) { output[index] = value; }
fn store4(index: u32, value: vec4<f32>) {
  store(index, value.x);
  store(index + 1u, value.y);
  store(index + 2u, value.z);
  store(index + 3u, value.w);
}
fn storeSum(index: u32, value: f32) {}

// Four neighbours. The constructors make one text valid for both element types; only the branch that fits is compiled.
fn readA(index: u32) -> vec4<f32> {
  if (A_VEC4) { return vec4<f32>(a[index / 4u]); }
  return vec4<f32>(vec4<f32>(a[index]).x, vec4<f32>(a[index + 1u]).x, vec4<f32>(a[index + 2u]).x, vec4<f32>(a[index + 3u]).x);
}
fn readB(index: u32) -> vec4<f32> {
  if (B_VEC4) { return vec4<f32>(b[index / 4u]); }
  return vec4<f32>(vec4<f32>(b[index]).x, vec4<f32>(b[index + 1u]).x, vec4<f32>(b[index + 2u]).x, vec4<f32>(b[index + 3u]).x);
}

fn blockA(base: u32, m: u32, k: u32) -> mat4x4<f32> {
  let lead = params.aLead;
  let first = base + select(m * lead + k, k * lead + m, A_TRANSPOSED);
  let block = mat4x4<f32>(readA(first), readA(first + lead), readA(first + 2u * lead), readA(first + 3u * lead));
  if (A_TRANSPOSED) { return transpose(block); }
  return block;
}
fn blockB(base: u32, k: u32, n: u32) -> mat4x4<f32> {
  let lead = params.bLead;
  let first = base + select(k * lead + n, n * lead + k, B_TRANSPOSED);
  let block = mat4x4<f32>(readB(first), readB(first + lead), readB(first + 2u * lead), readB(first + 3u * lead));
  if (B_TRANSPOSED) { return transpose(block); }
  return block;
}

// Zeros from step K on, in both operands: what is read there may be infinite.
fn clipA(block: mat4x4<f32>, k: u32) -> mat4x4<f32> {
  if (K_WHOLE) { return block; }
  let inside = vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(params.K);
  let zero = vec4<f32>();
  return mat4x4<f32>(select(zero, block[0], inside), select(zero, block[1], inside), select(zero, block[2], inside), select(zero, block[3], inside));
}
fn clipB(block: mat4x4<f32>, k: u32) -> mat4x4<f32> {
  if (K_WHOLE) { return block; }
  let zero = vec4<f32>();
  return mat4x4<f32>(
    select(zero, block[0], k < params.K), select(zero, block[1], k + 1u < params.K),
    select(zero, block[2], k + 2u < params.K), select(zero, block[3], k + 3u < params.K));
}

// Column i is step k+i of four lines of the summed operand.
fn linesAt(base: u32, line: u32, k: u32) -> mat4x4<f32> {
  if (SUMMED == 1u) { return clipB(transpose(blockA(base, line, k)), k); }
  return clipB(blockB(base, k, line), k);
}
// Σₖ of four lines, as sums of sums: rounding errors grow with BLOCK + K / BLOCK, not with K.
fn sumLines(base: u32, line: u32, begin: u32, end: u32) -> vec4<f32> {
  var sum = vec4<f32>();
  for (var block = begin; block < end; block += BLOCK) {
    var part = vec4<f32>();
    for (var k = block; k < min(end, block + BLOCK); k += 4u) {
      let lines = linesAt(base, line, k);
      part += lines[0] + lines[1] + lines[2] + lines[3];
    }
    sum += part;
  }
  return sum;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let columns = (params.N + TILE_N - 1u) / TILE_N;
  let rows = (params.M + TILE_M - 1u) / TILE_M;
  let place = linearGroup(group, num_workgroups);
  if (place < params.sides) {
    sideSum(place * SIZE + lane);
    return;
  }
  let tile = place - params.sides;
  let product = tile / (columns * rows); // [splits, batches]
  let tileM = (tile / columns % rows) * TILE_M;
  let tileN = (tile % columns) * TILE_N;
  let m = tileM + (lane / THREADS_N) * 4u * BLOCKS;
  let n = tileN + (lane % THREADS_N) * 4u * BLOCKS;
  if (product >= params.splits * params.batches) { return; }

  let batch = product % params.batches;
  let baseA = params.aOffset + batch / params.batch1 * params.aBatch0 + batch % params.batch1 * params.aBatch1;
  let baseB = params.bOffset + batch / params.batch1 * params.bBatch0 + batch % params.batch1 * params.bBatch1;
  let begin = product / params.batches * params.slice;
  let end = min(begin + params.slice, params.K);

  if ((SUMMED == 1u && tileN == 0u) || (SUMMED == 2u && tileM == 0u)) {
    let lines = select(params.N, params.M, SUMMED == 1u);
    let tileLines = select(TILE_N, TILE_M, SUMMED == 1u);
    for (var i = 4u * lane; i < tileLines; i += 4u * SIZE) {
      let line = max(tileM, tileN) + i;
      let sum = sumLines(select(baseB, baseA, SUMMED == 1u), line, begin, end);
      for (var j = 0u; j < 4u && line + j < lines; j++) { storeSum(product * lines + line + j, sum[j]); }
    }
  }
  if (m >= params.M || n >= params.N) { return; }

  var c00 = mat4x4<f32>();
  var c01 = mat4x4<f32>();
  var c10 = mat4x4<f32>();
  var c11 = mat4x4<f32>();
  for (var k = begin; k < end; k += 4u) {
    let a0 = clipA(blockA(baseA, m, k), k);
    let b0 = clipB(blockB(baseB, k, n), k);
    c00 += b0 * a0;
    if (BLOCKS == 2u) {
      let a1 = clipA(blockA(baseA, m + 4u, k), k);
      let b1 = clipB(blockB(baseB, k, n + 4u), k);
      c01 += b1 * a0;
      c10 += b0 * a1;
      c11 += b1 * a1;
    }
  }

  // A loop, so that a long epilogue is compiled once and not for each block.
  var c = array<mat4x4<f32>, 4>(c00, c01, c10, c11);
  for (var i = 0u; i < BLOCKS * BLOCKS * 4u; i++) {
    let block = i / 4u;
    let row = m + block / BLOCKS * 4u + i % 4u;
    let column = n + block % BLOCKS * 4u;
    if (row < params.M && column < params.N) {
      let value = c[block / BLOCKS * 2u + block % BLOCKS][i % 4u];
      let index = (product * params.M + row) * params.N + column;
      if (N_WHOLE) {
        store4(index, value);
      } else {
        for (var j = 0u; j < min(4u, params.N - column); j++) { store(index + j, value[j]); }
      }
    }
  }
}
