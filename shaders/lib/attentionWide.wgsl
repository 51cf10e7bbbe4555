// uses: attentionRows
// Beside attentionRows.wgsl, for lanes that own eight rows and walk over the others by sixteen: a value that is loaded is used
// eight or sixteen times, which is what counts where a load costs many times as much as a product. A kernel declares whether the
// rows of a lane are queries: OWNS_QUERIES.

// Blocks of the own rows a (four) and b (four more), and of the others 0 to 3 (four each).
struct Blocks {
  a0: mat4x4<f32>, a1: mat4x4<f32>, a2: mat4x4<f32>, a3: mat4x4<f32>,
  b0: mat4x4<f32>, b1: mat4x4<f32>, b2: mat4x4<f32>, b3: mat4x4<f32>,
}
// Two blocks put at the end in place of the first two. A loop of four turns then stands once in compiled code for what is done to
// all of them; over an array it would too, but arrays that are indexed by a variable leave the registers.
fn turned(x: Blocks, a: mat4x4<f32>, b: mat4x4<f32>) -> Blocks { return Blocks(x.a1, x.a2, x.a3, a, x.b1, x.b2, x.b3, b); }

// Where the others begin, four at a time.
struct Others { at0: vec4<u32>, at1: vec4<u32>, at2: vec4<u32>, at3: vec4<u32> }
fn others(base: u32, row: u32, stride: u32, bounds: Bounds, lane: u32) -> Others {
  return Others(
    otherPlaces(base, row, stride, bounds, lane), otherPlaces(base, row + 4u, stride, bounds, lane),
    otherPlaces(base, row + 8u, stride, bounds, lane), otherPlaces(base, row + 12u, stride, bounds, lane),
  );
}
fn rotated(x: Others) -> Others { return Others(x.at1, x.at2, x.at3, x.at0); }

// The two blocks of a lane's own rows.
struct Own { a: mat4x4<f32>, b: mat4x4<f32> }
// Products of blocks, of which `own` has been turned already, have a key for a column and a query for a component.
fn ownTurned(own: mat4x4<f32>) -> mat4x4<f32> {
  if (OWNS_QUERIES) { return transpose(own); }
  return own;
}
fn product(own: mat4x4<f32>, other: mat4x4<f32>) -> mat4x4<f32> {
  if (OWNS_QUERIES) { return own * other; }
  return transpose(other) * own;
}

// What the causal rule hides and is not finite must not meet a weight of 0. What it hides from all rows of the lanes that load
// together, a team, is not read: bounds see to that. What it hides from some of them lies beside the diagonal; it is looked at
// before the walk, and where it has taints, the blocks there take a way of their own, which costs nothing elsewhere.
const TEAM: u32 = 8u; // rows that a team owns
fn anyOfTeam(tainted: bool) -> bool { return tainted; } // hook

// What the rows of the result become: keep times what they are, plus this; on the first step, just this.
struct Sum { a: mat4x4<f32>, b: mat4x4<f32>, keepA: vec4<f32>, keepB: vec4<f32>, isFirst: bool }
fn storeSum(atA: vec4<u32>, atB: vec4<u32>, column: u32, sum: Sum, live: u32) {
  storeFour(atA, column, sum.a, sum.keepA, sum.isFirst, live);
  storeFour(atB, column, sum.b, sum.keepB, sum.isFirst, max(live, 4u) - 4u);
}
