// What the attention kernels share that keep everything in registers and sum up in the rows of the result: a lane owns rows (of
// queries, or of keys) and walks over the others (keys, or queries). Products of them are 4×4 blocks in which the column is
// a key and the component a query.
const SIZE: u32 = 8u;

// Hook, with those named other…: the others are the same for all lanes of a workgroup, so that lanes which can read each
// other's values need not load all four.
fn otherPlaces(base: u32, row: u32, stride: u32, rows: u32, lane: u32) -> vec4<u32> { return places(base, row, stride, rows); }

fn otherQ(at: vec4<u32>, column: u32) -> mat4x4<f32> { return blockQ(at, column); }
fn otherK(at: vec4<u32>, column: u32) -> mat4x4<f32> { return blockK(at, column); }
fn otherV(at: vec4<u32>, column: u32) -> mat4x4<f32> { return blockV(at, column); }

fn blockResult(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadResult(at.x, column), loadResult(at.y, column), loadResult(at.z, column), loadResult(at.w, column));
}
// How many there are of the rows that a lane owns.
fn liveOf(row: u32, own: u32, rows: u32) -> u32 { return min(own, rows - min(row, rows)); }
// Four rows of the result become keep times what they are, plus these; on the first step, just these.
fn storeFour(at: vec4<u32>, column: u32, rows: mat4x4<f32>, keep: vec4<f32>, isFirst: bool, live: u32) {
  var sum = rows;
  if (!isFirst) { sum += scaled(blockResult(at, column), keep); }
  storeBlock(at, column, sum, live);
}
fn storeBlock(at: vec4<u32>, column: u32, rows: mat4x4<f32>, live: u32) {
  if (live > 0u) { store(at.x, column, rows[0]); }
  if (live > 1u) { store(at.y, column, rows[1]); }
  if (live > 2u) { store(at.z, column, rows[2]); }
  if (live > 3u) { store(at.w, column, rows[3]); }
}
