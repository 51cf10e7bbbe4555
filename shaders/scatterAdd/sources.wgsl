// uses: order, status
// Second stage of the scatter by sources, for few indices into a long axis: an invocation for each index. The first of
// those that name the same element adds up all of them, in order, and writes the element.
// 1: base [outer, n, inner], 2: index [outer, m, inner], 3: source [outer, m, inner], 4: result [outer, n, inner],
// a copy of base, 5: status. Indices from `start` to `end` of the axis; `before` is what is added to. An index outside [0, n) adds nothing and sets the status.
alias Index = i32;
alias Element = f32;
const SIZE: u32 = 64u;

struct Params { outer: u32, n: u32, inner: u32, m: u32, start: u32, end: u32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> base: array<Element>;
@group(0) @binding(2) var<storage, read> index: array<Index>;
@group(0) @binding(3) var<storage, read> source: array<Element>;
@group(0) @binding(4) var<storage, read_write> result: array<Element>;
@group(0) @binding(5) var<storage, read_write> status: array<atomic<u32>>;

fn before(element: u32) -> Element { return base[element]; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let linear = linearGroup(group, num_workgroups) * SIZE + lane;
  let slice = (params.end - params.start) * params.inner;
  if (linear >= params.outer * slice) { return; }

  let outer = linear / slice;
  let first = (outer * params.m + params.start) * params.inner;
  let own = first + linear % slice;
  let row = index[own];
  if (u32(row) >= params.n) {
    reportBadData(params.statusCode);
    return;
  }
  let inner = own % params.inner;
  for (var at = first + inner; at < own; at += params.inner) {
    if (index[at] == row) { return; }
  }
  let to = (outer * params.n + u32(row)) * params.inner + inner;
  var sum = before(to);
  for (var at = own; at < first + slice; at += params.inner) {
    if (index[at] == row) { sum += source[at]; }
  }
  result[to] = sum;
}
