// uses: order, status
// result[o, index[o, j, i], i] = base + Σ source[o, j, i]: an invocation owns one element of the result and looks, in
// order, at all indices that could name it, those from `start` to `end` of the axis. `before` is what it adds to.
// 1: base [outer, n, inner], 2: index [outer, m, inner], 3: source [outer, m, inner], 4: result [outer, n, inner],
// 5: status. An index outside [0, n) adds nothing and sets the status; u32(index) sends negative ones beyond n.
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
  let element = linearGroup(group, num_workgroups) * SIZE + lane;
  let slice = params.n * params.inner;
  if (element >= params.outer * slice) { return; }

  let row = (element / params.inner) % params.n;
  let first = (element / slice) * params.m * params.inner + element % params.inner;
  var sum = before(element);
  for (var j = params.start; j < params.end; j++) {
    let at = first + j * params.inner;
    let to = u32(index[at]);
    if (to == row) { sum += source[at]; }
    if (to >= params.n && row == 0u) { reportBadData(params.statusCode); }
  }
  result[element] = sum;
}
