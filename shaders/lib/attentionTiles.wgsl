// uses: attention, multiplyAdd
// What the attention kernels with tiles in workgroup memory share: 8 teams walk over tiles of 32 rows. A team owns four other rows;
// a member scores them against its OTHERS of the tile's rows.
//
// Arrays are nested, and loops of constant length, so that a compiler sees which indices are in range, and drops the checks that
// browsers put around others. Sums are variables and not arrays: those that a variable indexes leave the registers.
const D: u32 = 64u; // the head size
const COLUMNS: u32 = (D + 3u) / 4u; // vec4 columns of a head
const CHUNKS: u32 = (COLUMNS + 15u) / 16u; // 1 or 2; a tile holds at most 16 columns at once
const WIDTH: u32 = (COLUMNS + CHUNKS - 1u) / CHUNKS; // columns in a tile
const MEMBERS: u32 = 8u; // of a team: 8, or 16 where the sums of 8 would not find room in the registers
const OTHERS: u32 = 32u / MEMBERS;
const SIZE: u32 = 8u * MEMBERS;

// One vec4 of padding after every four rows lets eight lanes read blocks of four rows without bank conflicts.
struct FourRows { rows: array<array<vec4<f32>, WIDTH>, 4>, pad: vec4<f32> }
var<workgroup> tile: array<FourRows, 8>;
// Of each team, and row of the tile, the weights that it has for the four rows of the team; one more, so that teams read from
// different banks.
var<workgroup> weights: array<array<vec4<f32>, 33>, 8>;

// Whether there is such a column in a chunk: the second may have one less.
fn isColumn(chunk: u32, column: u32) -> bool { return CHUNKS * WIDTH == COLUMNS || chunk * WIDTH + column < COLUMNS; }
fn tileBlock(four: u32, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(tile[four].rows[0][column], tile[four].rows[1][column], tile[four].rows[2][column], tile[four].rows[3][column]);
}
// The rows of the tile that a member scores, and their weights.
fn othersBlock(member: u32, column: u32) -> mat4x4<f32> {
  if (OTHERS == 4u) { return tileBlock(member, column); }
  let none = vec4<f32>();
  let half = member % 2u * 2u;
  return mat4x4<f32>(tile[member / 2u].rows[half][column], tile[member / 2u].rows[half + 1u][column], none, none);
}
fn putWeights(team: u32, member: u32, block: mat4x4<f32>) {
  weights[team][OTHERS * member] = block[0];
  weights[team][OTHERS * member + 1u] = block[1];
  if (OTHERS == 4u) {
    weights[team][OTHERS * member + 2u] = block[2];
    weights[team][OTHERS * member + 3u] = block[3];
  }
}

// The last staging, counted from 1, that brought a value which is not finite: the sum of what a lane brings is not, then.
var<workgroup> tainted: atomic<u32>;
fn noteTaint(sum: vec4<f32>, staging: u32) {
  if (HIDES && staging > 0u && any(magnitudes(sum) >= INFINITE)) { atomicMax(&tainted, staging); }
}
// Whether hidden rows of this staging must be left out, in place of being multiplied by 0.
fn isTainted(staging: u32) -> bool { return HIDES && atomicLoad(&tainted) == staging; }

// Of a chunk of the results, the columns of a member in the four rows of its team: its own, and the eighth after that where a
// team has 8.
struct Sums { a: mat4x4<f32>, b: mat4x4<f32> }
const TWO: bool = WIDTH > MEMBERS;
fn hasFirst(member: u32) -> bool { return WIDTH >= MEMBERS || member < WIDTH; }
fn hasSecond(member: u32) -> bool { return TWO && (WIDTH >= 16u || member + 8u < WIDTH); }
// Adds the rows of the tile, each times its weights for the rows of a team. Where one may not be finite, those that are hidden
// are left out.
fn accumulated(before: Sums, team: u32, member: u32, tainted: bool) -> Sums {
  var sums = before;
  if (tainted) {
    // No constant length, so that the loop isn't unrolled for nothing.
    for (var other = 0u; other < 8u * params.blocks; other++) {
      let weight = weights[team][other];
      if (hasFirst(member)) { sums.a += outerTaken(tile[other / 4u].rows[other % 4u][member], weight); }
      if (hasSecond(member)) { sums.b += outerTaken(tile[other / 4u].rows[other % 4u][member + 8u], weight); }
    }
  } else {
    for (var four = 0u; four < 8u; four++) {
      let w = transpose(mat4x4<f32>(
        weights[team][4u * four], weights[team][4u * four + 1u], weights[team][4u * four + 2u], weights[team][4u * four + 3u]));
      if (hasFirst(member)) { sums.a = multiplyAdd(sums.a, w, tileBlock(four, member)); }
      if (hasSecond(member)) { sums.b = multiplyAdd(sums.b, w, tileBlock(four, member + 8u)); }
    }
  }
  return sums;
}
// A row of the tile times the weights that it has, but for what is hidden.
fn outerTaken(left: vec4<f32>, right: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(taken(left, right.x), taken(left, right.y), taken(left, right.z), taken(left, right.w));
}
fn enlarged(x: Sums, factor: f32) -> Sums { return Sums(x.a * factor, x.b * factor); }
// Stores what a member has of a chunk, for those of its four rows that there are; `at` is where they begin. It may be added to
// what earlier dispatches have left.
fn storeSums(sums: Sums, chunk: u32, member: u32, at: vec4<u32>, live: u32, adds: bool) {
  if (hasFirst(member) && isColumn(chunk, member)) { storeRows(sums.a, at, chunk * WIDTH + member, live, adds); }
  if (hasSecond(member) && isColumn(chunk, member + 8u)) {
    storeRows(sums.b, at, chunk * WIDTH + member + 8u, live, adds);
  }
}
fn storeRows(rows: mat4x4<f32>, at: vec4<u32>, column: u32, live: u32, adds: bool) {
  var values = rows;
  if (adds) {
    values = mat4x4<f32>(added(at.x, column, rows[0]), added(at.y, column, rows[1]), added(at.z, column, rows[2]), added(at.w, column, rows[3]));
  }
  if (live > 0u) { store(at.x, column, values[0]); }
  if (live > 1u) { store(at.y, column, values[1]); }
  if (live > 2u) { store(at.z, column, values[2]); }
  if (live > 3u) { store(at.w, column, values[3]); }
}
