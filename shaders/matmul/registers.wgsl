// uses: order, product, productBlocks, sideSum, store
// C = A·B with blocks of C in registers and no workgroup memory: what a processor without a GPU's local memory does best.
// A thread owns a square of BLOCKS×BLOCKS blocks of 4×4 and walks along K four steps at a time: the more blocks, the less
// is read for a product. Threads are numbered along the squares of C, row by row.
//
// SUMMED: Σₖ of one operand rides along, in threads of its own that follow, for four lines each.

// Blocks of a thread along M and along N: 1, 2 or 4.
const BLOCKS: u32 = 1u;
const SQUARE: u32 = 4u * BLOCKS;
const SIZE: u32 = 8u;

fn choose(v0: vec4<f32>, v1: vec4<f32>, v2: vec4<f32>, v3: vec4<f32>, i: u32) -> vec4<f32> {
  let odd = (i & 1u) == 1u;
  return select(select(v0, v1, odd), select(v2, v3, odd), i > 1u);
}
fn rowOf(block: mat4x4<f32>, i: u32) -> vec4<f32> { return choose(block[0], block[1], block[2], block[3], i); }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let place = linearGroup(group, num_workgroups);
  if (SIDED && place < params.sides) {
    sideSum(place * SIZE + lane);
    return;
  }
  let tiles = tileCount(SQUARE, SQUARE);
  let index = (place - params.sides) * SIZE + lane;
  if (index >= tiles) {
    if (SUMMED != 0u) { sumLines(index - tiles); }
    return;
  }
  let tile = tileAt(index, SQUARE, SQUARE);
  let m = tile.m;
  let n = tile.n;

  var c00 = mat4x4<f32>();
  var c01 = mat4x4<f32>();
  var c02 = mat4x4<f32>();
  var c03 = mat4x4<f32>();
  var c10 = mat4x4<f32>();
  var c11 = mat4x4<f32>();
  var c12 = mat4x4<f32>();
  var c13 = mat4x4<f32>();
  var c20 = mat4x4<f32>();
  var c21 = mat4x4<f32>();
  var c22 = mat4x4<f32>();
  var c23 = mat4x4<f32>();
  var c30 = mat4x4<f32>();
  var c31 = mat4x4<f32>();
  var c32 = mat4x4<f32>();
  var c33 = mat4x4<f32>();
  for (var k = tile.begin; k < tile.end; k += 4u) {
    let a0 = lastA(tile.startOfA, m, k);
    let b0 = lastB(tile.startOfB, k, n);
    c00 += b0 * a0;
    if (BLOCKS > 1u) {
      let a1 = lastA(tile.startOfA, m + 4u, k);
      let b1 = lastB(tile.startOfB, k, n + 4u);
      c01 += b1 * a0;
      c10 += b0 * a1;
      c11 += b1 * a1;
      if (BLOCKS > 2u) {
        let b2 = lastB(tile.startOfB, k, n + 8u);
        let b3 = lastB(tile.startOfB, k, n + 12u);
        c02 += b2 * a0;
        c03 += b3 * a0;
        c12 += b2 * a1;
        c13 += b3 * a1;
        let a2 = lastA(tile.startOfA, m + 8u, k);
        c20 += b0 * a2;
        c21 += b1 * a2;
        c22 += b2 * a2;
        c23 += b3 * a2;
        let a3 = lastA(tile.startOfA, m + 12u, k);
        c30 += b0 * a3;
        c31 += b1 * a3;
        c32 += b2 * a3;
        c33 += b3 * a3;
      }
    }
  }

  // A loop, so that a long epilogue is compiled once and not for each block. Choosing by comparisons: where an array is
  // indexed in its place, Mesa compiles for seconds.
  for (var i = 0u; i < SQUARE; i++) {
    for (var x = 0u; x < BLOCKS; x++) {
      let row = m + i;
      let column = n + x * 4u;
      if (row >= params.M || column >= params.N) { continue; }
      let y = i >> 2u;
      let r = i & 3u;
      var value = rowOf(c00, r);
      if (BLOCKS == 2u) {
        value = select(
          select(value, rowOf(c01, r), x == 1u),
          select(rowOf(c10, r), rowOf(c11, r), x == 1u), y == 1u);
      }
      if (BLOCKS == 4u) {
        value = choose(
          choose(value, rowOf(c01, r), rowOf(c02, r), rowOf(c03, r), x),
          choose(rowOf(c10, r), rowOf(c11, r), rowOf(c12, r), rowOf(c13, r), x),
          choose(rowOf(c20, r), rowOf(c21, r), rowOf(c22, r), rowOf(c23, r), x),
          choose(rowOf(c30, r), rowOf(c31, r), rowOf(c32, r), rowOf(c33, r), x), y);
      }
      storeColumns(tile.product, row, column, value);
    }
  }
}
