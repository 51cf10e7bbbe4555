// What the attention kernels share that keep everything in registers and sum up in the rows of the result.
//
// A lane owns eight rows (of queries, or of keys) and walks over the others (keys, or queries) by sixteen: a value that is loaded
// is used eight or sixteen times, which is what counts where a load costs many times as much as a product. Products of
// them are 4×4 blocks in which the column is a key and the component a query.
const SIZE: u32 = 8u;

// Blocks of the own rows a (four) and b (four more), and of the others 0 to 3 (four each).
struct Blocks {
  a0: mat4x4<f32>, a1: mat4x4<f32>, a2: mat4x4<f32>, a3: mat4x4<f32>,
  b0: mat4x4<f32>, b1: mat4x4<f32>, b2: mat4x4<f32>, b3: mat4x4<f32>,
}
// Two blocks put at the end in place of the first two. A loop of four turns then stands once in compiled code for what is done to
// all of them; over an array it would too, but arrays that are indexed by a variable leave the registers.
fn turned(x: Blocks, a: mat4x4<f32>, b: mat4x4<f32>) -> Blocks { return Blocks(x.a1, x.a2, x.a3, a, x.b1, x.b2, x.b3, b); }

// Where four rows begin; those past the end are the last one again.
fn places(base: u32, row: u32, stride: u32, rows: u32) -> vec4<u32> {
  return base + min(row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u)) * stride;
}
// Where the others begin, four at a time.
struct Others { at0: vec4<u32>, at1: vec4<u32>, at2: vec4<u32>, at3: vec4<u32> }
fn others(base: u32, row: u32, stride: u32, rows: u32, lane: u32) -> Others {
  return Others(
    otherPlaces(base, row, stride, rows, lane), otherPlaces(base, row + 4u, stride, rows, lane),
    otherPlaces(base, row + 8u, stride, rows, lane), otherPlaces(base, row + 12u, stride, rows, lane),
  );
}
// Hook, with those named other…: the others are the same for all lanes of a workgroup, so that lanes which can read each
// other's values need not load all four.
fn otherPlaces(base: u32, row: u32, stride: u32, rows: u32, lane: u32) -> vec4<u32> { return places(base, row, stride, rows); }

fn blockQ(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadQ(at.x, column), loadQ(at.y, column), loadQ(at.z, column), loadQ(at.w, column));
}
fn blockK(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadK(at.x, column), loadK(at.y, column), loadK(at.z, column), loadK(at.w, column));
}
fn blockV(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadV(at.x, column), loadV(at.y, column), loadV(at.z, column), loadV(at.w, column));
}
fn loadResult(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(result[i], result[i + 1u], result[i + 2u], result[i + 3u]), inside(column));
}
fn blockResult(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadResult(at.x, column), loadResult(at.y, column), loadResult(at.z, column), loadResult(at.w, column));
}
// How many of eight rows there are.
fn liveOf(row: u32, rows: u32) -> u32 { return min(8u, rows - min(row, rows)); }
// What the rows of the result become: keep times what they are, plus this; on the first step, just this.
struct Sum { a: mat4x4<f32>, b: mat4x4<f32>, keepA: vec4<f32>, keepB: vec4<f32>, isFirst: bool }
fn storeSum(atA: vec4<u32>, atB: vec4<u32>, column: u32, sum: Sum, live: u32) {
  var a = sum.a;
  var b = sum.b;
  if (!sum.isFirst) {
    a += scaled(blockResult(atA, column), sum.keepA);
    b += scaled(blockResult(atB, column), sum.keepB);
  }
  storeBlock(atA, column, a, live);
  storeBlock(atB, column, b, max(live, 4u) - 4u);
}
fn storeBlock(at: vec4<u32>, column: u32, rows: mat4x4<f32>, live: u32) {
  if (live > 0u) { store(at.x, column, rows[0]); }
  if (live > 1u) { store(at.y, column, rows[1]); }
  if (live > 2u) { store(at.z, column, rows[2]); }
  if (live > 3u) { store(at.w, column, rows[3]); }
}
