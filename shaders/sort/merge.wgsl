// uses: order, ranking
// Merges sorted runs of rows two by two: an invocation for each element, whose place is that in its own run and as many more as
// stand before it in the other, which it searches by halves.
// 1: source [rows, n], 2: positions [rows, n], the places in the row that these come from, 3: values [rows, n], 4: indices.
alias Element = f32;
const SIZE: u32 = 64u;

// run: the length of the runs; the last of a row may be shorter, or have no other.
struct Params { rows: u32, n: u32, run: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Element>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read_write> values: array<Element>;
@group(0) @binding(4) var<storage, read_write> indices: array<u32>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let at = linearGroup(group, num_workgroups) * SIZE + lane;
  if (at >= params.rows * params.n) { return; }

  let j = at % params.n;
  let row = at - j;
  let own = j - j % params.run;
  let isFirst = own / params.run % 2u == 0u;
  let start = select(own - params.run, own, isFirst);
  let other = select(start, min(own + params.run, params.n), isFirst);

  let value = source[at];
  let position = positions[at];
  let entry = vec2<u32>(orderOf(value), position);
  // Elements of the other run before `low` stand before this one, those from `high` on behind.
  var low = other;
  var high = min(other + params.run, params.n);
  while (low < high) {
    let middle = (low + high) / 2u;
    if (before(vec2<u32>(orderOf(source[row + middle]), positions[row + middle]), entry)) { low = middle + 1u; } else { high = middle; }
  }
  let to = row + start + (j - own) + (low - other);
  values[to] = value;
  indices[to] = position;
}
