// uses: attention
// What the attention kernels share that keep everything in registers and sum up in the rows of the result: a lane owns rows (of
// queries, or of keys) and walks over the others (keys, or queries). Products of them are 4×4 blocks in which the column is
// a key and the component a query.
const SIZE: u32 = 8u;
// What the causal rule alone hides from all rows of lanes that load together may just not be read (see attentionWide.wgsl); else
// products with weights leave out what is hidden.
const WIDE: bool = false;
const DIAGONAL: bool = CAUSAL && !MASKED && !RANGED;
const TAKES: bool = HIDES && !(WIDE && DIAGONAL);

// Hook, with attentionOther.wgsl: the others are the same for all lanes of a workgroup, so that lanes which can read each
// other's values need not load all four.
fn otherPlaces(base: u32, row: u32, stride: u32, bounds: Bounds, lane: u32) -> vec4<u32> {
  return base + within(row + vec4<u32>(0u, 1u, 2u, 3u), bounds) * stride;
}
// In place of a row outside of these bounds, the nearest one inside is read.
struct Bounds { first: u32, last: u32 }
fn within(rows: vec4<u32>, bounds: Bounds) -> vec4<u32> { return clamp(rows, vec4<u32>(bounds.first), vec4<u32>(bounds.last)); }

// Products of four rows (columns) and weights (column = an own row, component = one of the four).
fn weighted(rows: mat4x4<f32>, weights: mat4x4<f32>) -> mat4x4<f32> {
  if (TAKES) { return takenProduct(rows, weights); }
  return rows * weights;
}
// The same, but that hidden rows are left out: see `taken`.
fn takenProduct(rows: mat4x4<f32>, weights: mat4x4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(takenOf(rows, weights[0]), takenOf(rows, weights[1]), takenOf(rows, weights[2]), takenOf(rows, weights[3]));
}
fn takenOf(rows: mat4x4<f32>, weights: vec4<f32>) -> vec4<f32> {
  return taken(rows[0], weights.x) + taken(rows[1], weights.y) + taken(rows[2], weights.z) + taken(rows[3], weights.w);
}

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
