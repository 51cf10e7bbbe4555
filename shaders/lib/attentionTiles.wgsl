// What the attention kernels with tiles in workgroup memory share. A kernel declares `tile`.
const D: u32 = 64u; // the head size
const COLUMNS: u32 = (D + 3u) / 4u; // vec4 columns of a head
const CHUNKS: u32 = (COLUMNS + 15u) / 16u; // a tile holds at most 16 columns at once
const WIDTH: u32 = (COLUMNS + CHUNKS - 1u) / CHUNKS; // columns in a tile
const PARTS: u32 = (WIDTH + 7u) / 8u; // columns of a chunk that one lane accumulates: every eighth
const STRIDE: u32 = 33u; // between teams in `weights`; odd, so that teams read from different banks
const SIZE: u32 = 64u;

// One vec4 of padding after every four rows lets eight lanes read blocks of four rows without bank conflicts.
fn tileIndex(row: u32, column: u32) -> u32 { return row * WIDTH + row / 4u + column; }
fn tileBlock(row: u32, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(tile[tileIndex(row, column)], tile[tileIndex(row + 1u, column)], tile[tileIndex(row + 2u, column)], tile[tileIndex(row + 3u, column)]);
}
// Thirty-two rows of an operand, a chunk of their columns.
fn stageQ(base: u32, first: u32, chunk: u32, lane: u32) {
  for (var x = lane; x < 32u * WIDTH; x += SIZE) {
    let row = x / WIDTH;
    let column = x % WIDTH;
    tile[tileIndex(row, column)] = loadQ(base + min(first + row, params.L - 1u) * params.qRow, chunk * WIDTH + column);
  }
}
fn stageK(base: u32, first: u32, chunk: u32, lane: u32) {
  for (var x = lane; x < 32u * WIDTH; x += SIZE) {
    let row = x / WIDTH;
    let column = x % WIDTH;
    tile[tileIndex(row, column)] = loadK(base + min(first + row, params.S - 1u) * params.kRow, chunk * WIDTH + column);
  }
}
fn stageV(base: u32, first: u32, chunk: u32, lane: u32) {
  for (var x = lane; x < 32u * WIDTH; x += SIZE) {
    let row = x / WIDTH;
    let column = x % WIDTH;
    tile[tileIndex(row, column)] = loadV(base + min(first + row, params.S - 1u) * params.vRow, chunk * WIDTH + column);
  }
}
fn outer(left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(left * right.x, left * right.y, left * right.z, left * right.w);
}
