// uses: attention
// What the attention kernels with tiles in workgroup memory share. A kernel declares `tile` and `weights`.
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
// The columns of results that a member has, chunk by chunk, of the four rows of its team.
alias Sums = array<mat4x4<f32>, CHUNKS * PARTS>;
// Adds the rows of the tile, each times its weights for the rows of a team. Where one may not be finite, those that are hidden
// are left out.
fn accumulate(sums: ptr<function, Sums>, chunk: u32, team: u32, member: u32, tainted: bool) {
  if (tainted) {
    // No constant length, so that the loop isn't unrolled for nothing.
    for (var other = 0u; other < 8u * params.blocks; other++) {
      let weight = weights[team * STRIDE + other];
      for (var part = 0u; part < PARTS; part++) {
        let column = member + 8u * part;
        if (column < WIDTH) { (*sums)[chunk * PARTS + part] += outerTaken(tile[tileIndex(other, column)], weight); }
      }
    }
  } else {
    for (var other = 0u; other < 32u; other++) {
      let weight = weights[team * STRIDE + other];
      for (var part = 0u; part < PARTS; part++) {
        let column = member + 8u * part;
        if (column < WIDTH) { (*sums)[chunk * PARTS + part] += outer(tile[tileIndex(other, column)], weight); }
      }
    }
  }
}
fn outer(left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(left * right.x, left * right.y, left * right.z, left * right.w);
}
// The same, but for what is hidden.
fn outerTaken(left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(taken(left, right.x), taken(left, right.y), taken(left, right.z), taken(left, right.w));
}
