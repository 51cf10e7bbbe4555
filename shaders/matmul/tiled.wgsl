// uses: order, product, sideSum, store
// C = A·B with tiles of A and B in workgroup memory: every value read from memory serves a whole row or column of threads.
// A workgroup makes a TILE_M×TILE_N tile of C and walks along K in steps of TILE_K; a thread owns BLOCKS_M×BLOCKS_N blocks
// of 4×4, half a tile apart where there are two. Tiles are kept as 4×4 blocks of four vec4s in the direction in which the
// operand is contiguous; a block that lies the other way is transposed in registers, so NN, NT, TN and TT cost the same.
// PITCH, one vec4 more than a row of blocks, puts the blocks that neighbouring threads read into different memory banks.
//
// SUMMED: Σₖ of one operand, contiguous across K, rides along; the threads that bring it into workgroup memory add it up.

// Shape of the tile; blocks of a thread along M and N (1 or 2).
const TILE_M: u32 = 64u;
const TILE_N: u32 = 64u;
const TILE_K: u32 = 16u;
const BLOCKS_M: u32 = 1u;
const BLOCKS_N: u32 = 1u;
const THREADS_M: u32 = TILE_M / (4u * BLOCKS_M);
const THREADS_N: u32 = TILE_N / (4u * BLOCKS_N);
const SIZE: u32 = THREADS_M * THREADS_N;
const PITCH: u32 = TILE_K + 1u;

var<workgroup> tileA: array<vec4<f32>, TILE_M / 4u * PITCH>;
var<workgroup> tileB: array<vec4<f32>, TILE_N / 4u * PITCH>;
// What this thread has brought of the summed operand: always the same four lines.
var<private> sum: vec4<f32>;

// Zeros from step `end` on, in both operands: what is read there may be infinite.
fn clip(value: vec4<f32>, k: u32, alongK: bool) -> vec4<f32> {
  if (K_WHOLE) { return select(vec4<f32>(), value, k < params.K); }
  let step = vec4<u32>(k) + select(vec4<u32>(), vec4<u32>(0u, 1u, 2u, 3u), alongK);
  return select(vec4<f32>(), value, step < vec4<u32>(params.K));
}

// Each vec4 of a tile: where it comes from and where it goes. `first` is the index of the operand's element (row or column 0, k 0).
fn fillA(lane: u32, first: u32, m: u32, k: u32) {
  for (var i = lane; i < TILE_M * TILE_K / 4u; i += SIZE) {
    if (A_TRANSPOSED) {
      let x = i % (TILE_M / 4u);
      let y = i / (TILE_M / 4u);
      let value = clip(readA(first + (k + y) * params.aLead + m + 4u * x), k + y, false);
      tileA[x * PITCH + y] = value;
      if (SUMMED == 1u) { sum += value; }
    } else {
      let x = i / (TILE_K / 4u);
      let y = i % (TILE_K / 4u) * 4u;
      tileA[x / 4u * PITCH + y + x % 4u] = clip(readA(first + (m + x) * params.aLead + k + y), k + y, true);
    }
  }
}
fn fillB(lane: u32, first: u32, k: u32, n: u32) {
  for (var i = lane; i < TILE_N * TILE_K / 4u; i += SIZE) {
    if (B_TRANSPOSED) {
      let x = i / (TILE_K / 4u);
      let y = i % (TILE_K / 4u) * 4u;
      tileB[x / 4u * PITCH + y + x % 4u] = clip(readB(first + (n + x) * params.bLead + k + y), k + y, true);
    } else {
      let x = i % (TILE_N / 4u);
      let y = i / (TILE_N / 4u);
      let value = clip(readB(first + (k + y) * params.bLead + n + 4u * x), k + y, false);
      tileB[x * PITCH + y] = value;
      if (SUMMED == 2u) { sum += value; }
    }
  }
}

// Column i of an A block is row m+i along k, column i of a B block is row k+i along n.
fn blockA(m4: u32, k: u32) -> mat4x4<f32> {
  let i = m4 * PITCH + k;
  let block = mat4x4<f32>(tileA[i], tileA[i + 1u], tileA[i + 2u], tileA[i + 3u]);
  if (A_TRANSPOSED) { return transpose(block); }
  return block;
}
fn blockB(n4: u32, k: u32) -> mat4x4<f32> {
  let i = n4 * PITCH + k;
  let block = mat4x4<f32>(tileB[i], tileB[i + 1u], tileB[i + 2u], tileB[i + 3u]);
  if (B_TRANSPOSED) { return transpose(block); }
  return block;
}

// c += a·b as chains of products and sums that a GPU fuses; b · a as a matrix product would add each four first.
fn multiplyAdd(c: mat4x4<f32>, a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(rowTimes(c[0], a[0], b), rowTimes(c[1], a[1], b), rowTimes(c[2], a[2], b), rowTimes(c[3], a[3], b));
}
fn rowTimes(c: vec4<f32>, a: vec4<f32>, b: mat4x4<f32>) -> vec4<f32> {
  return c + a.x * b[0] + a.y * b[1] + a.z * b[2] + a.w * b[3];
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let place = linearGroup(group, num_workgroups);
  if (SIDED && place < params.sides) {
    sideSum(place * SIZE + lane);
    return;
  }
  let tile = tileAt(place - params.sides, TILE_M, TILE_N);
  let m = tile.m;
  let n = tile.n;
  let threadM = lane / THREADS_N;
  let threadN = lane % THREADS_N;

  var c00 = mat4x4<f32>();
  var c01 = mat4x4<f32>();
  var c10 = mat4x4<f32>();
  var c11 = mat4x4<f32>();
  for (var step = tile.begin; step < tile.end; step += TILE_K) {
    fillA(lane, tile.startOfA, m, step);
    fillB(lane, tile.startOfB, step, n);
    workgroupBarrier();
    for (var k = 0u; k < TILE_K; k += 4u) {
      let a0 = blockA(threadM, k);
      let b0 = blockB(threadN, k);
      c00 = multiplyAdd(c00, a0, b0);
      var b1 = b0;
      if (BLOCKS_N == 2u) {
        b1 = blockB(threadN + THREADS_N, k);
        c01 = multiplyAdd(c01, a0, b1);
      }
      if (BLOCKS_M == 2u) {
        let a1 = blockA(threadM + THREADS_M, k);
        c10 = multiplyAdd(c10, a1, b0);
        if (BLOCKS_N == 2u) { c11 = multiplyAdd(c11, a1, b1); }
      }
    }
    workgroupBarrier();
  }

  let inside = tile.product < params.splits * params.batches;
  // The first column (row) of tiles stores the sums. Threads that brought the same four lines stand `quads` apart.
  if ((SUMMED == 1u && n == 0u) || (SUMMED == 2u && m == 0u)) {
    let quads = select(TILE_N, TILE_M, SUMMED == 1u) / 4u;
    let lines = select(params.N, params.M, SUMMED == 1u);
    tileA[lane] = sum;
    workgroupBarrier();
    if (lane < quads && inside) {
      for (var i = lane + quads; i < SIZE; i += quads) { sum += tileA[i]; }
      for (var j = 0u; j < 4u; j++) {
        let line = max(m, n) + 4u * lane + j;
        if (line < lines) { storeSum(tile.product * lines + line, sum[j]); }
      }
    }
  }

  // A loop, so that a long epilogue is compiled once and not for each block.
  var c = array<mat4x4<f32>, 4>(c00, c01, c10, c11);
  for (var i = 0u; i < BLOCKS_M * BLOCKS_N * 4u; i++) {
    let blockRow = i / (BLOCKS_N * 4u);
    let blockColumn = i / 4u % BLOCKS_N;
    let row = m + (threadM + blockRow * THREADS_M) * 4u + i % 4u;
    let column = n + (threadN + blockColumn * THREADS_N) * 4u;
    if (inside && row < params.M && column < params.N) {
      let value = c[blockRow * 2u + blockColumn][i % 4u];
      storeColumns(tile.product, row, column, value);
    }
  }
}
