// What the attention kernels with tiles in workgroup memory share. A kernel declares `tile`.
const D: u32 = 64u; // the head size
const COLUMNS: u32 = (D + 3u) / 4u; // vec4 columns of a head
const CHUNKS: u32 = (COLUMNS + 15u) / 16u; // a tile holds at most 16 columns at once
const WIDTH: u32 = (COLUMNS + CHUNKS - 1u) / CHUNKS; // columns in a tile
const PARTS: u32 = (WIDTH + 7u) / 8u; // columns of a chunk that one lane accumulates: every eighth
const STRIDE: u32 = 33u; // between teams in `weights`; odd, so that teams read from different banks
const SIZE: u32 = 64u;

// The last staging, counted from 1, that brought a value which is not finite: the sum of what a lane brings is not, then.
var<workgroup> tainted: atomic<u32>;
fn noteTaint(sum: vec4<f32>, staging: u32) {
  if (HIDES && staging > 0u && any(magnitudes(sum) >= INFINITE)) { atomicMax(&tainted, staging); }
}
// Whether hidden rows of this staging must be left out, in place of being multiplied by 0.
fn isTainted(staging: u32) -> bool { return HIDES && atomicLoad(&tainted) == staging; }

// One vec4 of padding after every four rows lets eight lanes read blocks of four rows without bank conflicts.
fn tileIndex(row: u32, column: u32) -> u32 { return row * WIDTH + row / 4u + column; }
fn tileBlock(row: u32, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(tile[tileIndex(row, column)], tile[tileIndex(row + 1u, column)], tile[tileIndex(row + 2u, column)], tile[tileIndex(row + 3u, column)]);
}
// Thirty-two rows of an operand, a chunk of their columns. A staging has a number where its rows are
// summed up with weights, else 0.
fn stageQ(base: u32, first: u32, chunk: u32, lane: u32, staging: u32) {
  var sum = vec4<f32>();
  for (var x = lane; x < 32u * WIDTH; x += SIZE) {
    let row = x / WIDTH;
    let column = x % WIDTH;
    let value = loadQ(base + min(first + row, params.L - 1u) * params.qRow, chunk * WIDTH + column);
    tile[tileIndex(row, column)] = value;
    sum += value;
  }
  noteTaint(sum, staging);
}
fn stageK(base: u32, first: u32, chunk: u32, lane: u32, staging: u32) {
  var sum = vec4<f32>();
  for (var x = lane; x < 32u * WIDTH; x += SIZE) {
    let row = x / WIDTH;
    let column = x % WIDTH;
    let value = loadK(base + min(first + row, params.S - 1u) * params.kRow, chunk * WIDTH + column);
    tile[tileIndex(row, column)] = value;
    sum += value;
  }
  noteTaint(sum, staging);
}
fn stageV(base: u32, first: u32, chunk: u32, lane: u32, staging: u32) {
  var sum = vec4<f32>();
  for (var x = lane; x < 32u * WIDTH; x += SIZE) {
    let row = x / WIDTH;
    let column = x % WIDTH;
    let value = loadV(base + min(first + row, params.S - 1u) * params.vRow, chunk * WIDTH + column);
    tile[tileIndex(row, column)] = value;
    sum += value;
  }
  noteTaint(sum, staging);
}
fn outer(left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(left * right.x, left * right.y, left * right.z, left * right.w);
}
// The same, where the row may not be finite. The loop around it has no constant length, so that it isn't unrolled for nothing.
fn outerTaken(left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(taken(left, right.x), taken(left, right.y), taken(left, right.z), taken(left, right.w));
}
