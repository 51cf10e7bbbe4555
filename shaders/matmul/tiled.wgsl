// uses: order, product, sideSum, store, multiplyAdd
// C = A·B with tiles of A and B in workgroup memory: every value read from memory serves a whole row or column of threads.
// A workgroup makes a TILE_M×TILE_N tile of C and walks along K in steps of TILE_K; a thread owns BLOCKS_M×BLOCKS_N blocks
// of 4×4, half a tile apart where there are two. Tiles are kept as 4×4 blocks of four vec4s in the direction in which the
// operand is contiguous; a block that lies the other way is transposed in registers, so NN, NT, TN and TT cost the same.
// One vec4 more than a line of blocks puts the blocks that neighbouring threads read into different memory banks.
//
// SUMMED: Σₖ of one operand, contiguous across K, rides along; the threads that bring it into workgroup memory add it up.

// Shape of the tile; blocks of a thread along M and N (1 or 2). All threads bring the same number of vec4s.
const TILE_M: u32 = 64u;
const TILE_N: u32 = 64u;
const TILE_K: u32 = 16u;
const BLOCKS_M: u32 = 1u;
const BLOCKS_N: u32 = 1u;
const THREADS_M: u32 = TILE_M / (4u * BLOCKS_M);
const THREADS_N: u32 = TILE_N / (4u * BLOCKS_N);
const SIZE: u32 = THREADS_M * THREADS_N;
const QUADS_M: u32 = TILE_M / 4u;
const QUADS_N: u32 = TILE_N / 4u;
const QUADS_K: u32 = TILE_K / 4u;

// The blocks of four rows or columns along K. A compiler sees that indices of arrays of constant length are in range where they
// are remainders or constants, and drops the checks that browsers put around them; what else they are made of, it loses track of.
struct Line { blocks: array<array<vec4<f32>, 4>, QUADS_K>, pad: vec4<f32> }
var<workgroup> tileA: array<Line, QUADS_M>;
var<workgroup> tileB: array<Line, QUADS_N>;
// What this thread has brought of the summed operand: always the same four lines.
var<private> sum: vec4<f32>;

// Zeros from step K on, in both operands: what is read there may be infinite. Only a last tile that is not `whole` reaches there.
fn clip(value: vec4<f32>, k: u32, alongK: bool, whole: bool) -> vec4<f32> {
  if (whole) { return value; }
  if (K_WHOLE) { return select(vec4<f32>(), value, k < params.K); }
  let step = vec4<u32>(k) + select(vec4<u32>(), vec4<u32>(0u, 1u, 2u, 3u), alongK);
  return select(vec4<f32>(), value, step < vec4<u32>(params.K));
}

// Where the vec4 lies that a thread brings first, at k = 0; `first` is the index of the operand's element (row or column 0, k 0).
// The next ones follow at equal distances. An operand that is not there but computed has other types and functions here.
alias OwnA = u32;
alias OwnB = u32;
fn ownA(lane: u32, first: u32, m: u32) -> OwnA {
  if (A_TRANSPOSED) { return first + lane / QUADS_M * params.aLead + m + 4u * (lane % QUADS_M); }
  return first + (m + lane / QUADS_K) * params.aLead + 4u * (lane % QUADS_K);
}
fn ownB(lane: u32, first: u32, n: u32) -> OwnB {
  if (B_TRANSPOSED) { return first + (n + lane / QUADS_K) * params.bLead + 4u * (lane % QUADS_K); }
  return first + lane / QUADS_N * params.bLead + n + 4u * (lane % QUADS_N);
}
// The i-th vec4 that a thread brings for the steps from k on.
fn bringA(lane: u32, own: OwnA, i: u32, k: u32) -> vec4<f32> {
  if (A_TRANSPOSED) { return readA(own + (k + i * (SIZE / QUADS_M)) * params.aLead); }
  return readA(own + i * (SIZE / QUADS_K) * params.aLead + k);
}
fn bringB(lane: u32, own: OwnB, i: u32, k: u32) -> vec4<f32> {
  if (B_TRANSPOSED) { return readB(own + i * (SIZE / QUADS_K) * params.bLead + k); }
  return readB(own + (k + i * (SIZE / QUADS_N)) * params.bLead);
}
fn fillA(lane: u32, own: OwnA, k: u32, whole: bool) {
  for (var i = 0u; i < TILE_M * QUADS_K / SIZE; i++) {
    let place = i * SIZE + lane;
    let value = bringA(lane, own, i, k);
    if (A_TRANSPOSED) {
      let x = place % QUADS_M;
      let y = place / QUADS_M;
      let clipped = clip(value, k + y, false, whole);
      tileA[x].blocks[y / 4u][y % 4u] = clipped;
      if (SUMMED == 1u) { sum += clipped; }
    } else {
      let x = place / QUADS_K;
      let y = place % QUADS_K;
      tileA[x / 4u].blocks[y][x % 4u] = clip(value, k + 4u * y, true, whole);
    }
  }
}
fn fillB(lane: u32, own: OwnB, k: u32, whole: bool) {
  for (var i = 0u; i < TILE_N * QUADS_K / SIZE; i++) {
    let place = i * SIZE + lane;
    let value = bringB(lane, own, i, k);
    if (B_TRANSPOSED) {
      let x = place / QUADS_K;
      let y = place % QUADS_K;
      tileB[x / 4u].blocks[y][x % 4u] = clip(value, k + 4u * y, true, whole);
    } else {
      let x = place % QUADS_N;
      let y = place / QUADS_N;
      let clipped = clip(value, k + y, false, whole);
      tileB[x].blocks[y / 4u][y % 4u] = clipped;
      if (SUMMED == 2u) { sum += clipped; }
    }
  }
}

// Column i of an A block is row m+i along k, column i of a B block is row k+i along n.
fn blockA(m: u32, k4: u32) -> mat4x4<f32> {
  let k = k4 % QUADS_K;
  let block = mat4x4<f32>(tileA[m].blocks[k][0], tileA[m].blocks[k][1], tileA[m].blocks[k][2], tileA[m].blocks[k][3]);
  if (A_TRANSPOSED) { return transpose(block); }
  return block;
}
fn blockB(n: u32, k4: u32) -> mat4x4<f32> {
  let k = k4 % QUADS_K;
  let block = mat4x4<f32>(tileB[n].blocks[k][0], tileB[n].blocks[k][1], tileB[n].blocks[k][2], tileB[n].blocks[k][3]);
  if (B_TRANSPOSED) { return transpose(block); }
  return block;
}

// The tile of A takes in the sum of each thread at the end.
fn putSum(lane: u32, value: vec4<f32>) { tileA[lane / TILE_K % QUADS_M].blocks[lane / 4u % QUADS_K][lane % 4u] = value; }
fn sumOf(lane: u32) -> vec4<f32> { return tileA[lane / TILE_K % QUADS_M].blocks[lane / 4u % QUADS_K][lane % 4u]; }

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
  let fromA = ownA(lane, tile.startOfA, m);
  let fromB = ownB(lane, tile.startOfB, n);
  for (var step = tile.begin; step < tile.end; step += TILE_K) {
    if (step + TILE_K <= params.K) {
      fillA(lane, fromA, step, true);
      fillB(lane, fromB, step, true);
    } else {
      fillA(lane, fromA, step, false);
      fillB(lane, fromB, step, false);
    }
    workgroupBarrier();
    for (var k = 0u; k < QUADS_K; k++) {
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
    putSum(lane, sum);
    workgroupBarrier();
    if (lane < quads && inside) {
      for (var i = lane + quads; i < SIZE; i += quads) { sum += sumOf(i); }
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
