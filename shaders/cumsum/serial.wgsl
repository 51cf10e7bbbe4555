// uses: order
// Cumulative sum along the middle axis: an invocation walks a piece of a line; neighbours have neighbouring `inner`. It sums
// BLOCK elements by themselves before it adds them to what came before: rounding errors of a sum grow with its turns.
// 1: source [outer, n, inner], 2: result [outer, n, inner], or with TOTALS the sums of the pieces [outer, pieces, inner].
// Where a line is cut, `before` gives what the pieces before add up to. REVERSE: sums from the end.
alias Element = f32;
const SIZE: u32 = 64u;
const BLOCK: u32 = 64u;
const REVERSE: bool = false;
const TOTALS: bool = false;

struct Params { outer: u32, n: u32, inner: u32, pieces: u32, length: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Element>;
@group(0) @binding(2) var<storage, read_write> result: array<Element>;

fn before(piece: u32, index: u32) -> Element { return Element(); }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let index = linearGroup(group, num_workgroups) * SIZE + lane; // in [outer, pieces, inner]
  if (index >= params.outer * params.pieces * params.inner) { return; }

  let piece = index / params.inner % params.pieces;
  let first = index / (params.inner * params.pieces) * params.n * params.inner + index % params.inner;
  let begin = piece * params.length;
  let end = min(begin + params.length, params.n);
  var total = before(piece, index);
  for (var block = begin; block < end; block += BLOCK) {
    var sum = Element();
    for (var i = block; i < min(block + BLOCK, end); i++) {
      let at = first + select(i, params.n - 1u - i, REVERSE) * params.inner;
      sum += source[at];
      if (!TOTALS) { result[at] = total + sum; }
    }
    total += sum;
  }
  if (TOTALS) { result[index] = total; }
}
