// uses: order.wgsl
// Cumulative sum along the middle axis: an invocation walks a line; neighbours have neighbouring `inner`.
// 1: source [outer, n, inner], 2: result [outer, n, inner]. REVERSE: sums from the end.
alias Element = f32;
const SIZE: u32 = 64u;
const REVERSE: bool = false;

struct Params { outer: u32, n: u32, inner: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Element>;
@group(0) @binding(2) var<storage, read_write> result: array<Element>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let line = linearGroup(group, num_workgroups) * SIZE + lane;
  if (line >= params.outer * params.inner) { return; }

  let first = (line / params.inner) * params.n * params.inner + line % params.inner;
  var sum = Element();
  for (var i = 0u; i < params.n; i++) {
    let at = first + select(i, params.n - 1u - i, REVERSE) * params.inner;
    sum += source[at];
    result[at] = sum;
  }
}
