// uses: order, status
// result[o, j, i] = source[o, index[o, j, i], i]: an invocation for each element of the result.
// 1: source [outer, n, inner], 2: index [outer, m, inner], 3: result [outer, m, inner], 4: status.
// An index outside [0, n) gives zero and sets the status; u32(index) sends negative ones beyond n.
alias Index = i32;
alias Element = f32;
const SIZE: u32 = 64u;

struct Params { outer: u32, n: u32, inner: u32, m: u32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Element>;
@group(0) @binding(2) var<storage, read> index: array<Index>;
@group(0) @binding(3) var<storage, read_write> result: array<Element>;
@group(0) @binding(4) var<storage, read_write> status: array<atomic<u32>>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let element = linearGroup(group, num_workgroups) * SIZE + lane;
  let slice = params.m * params.inner;
  if (element >= params.outer * slice) { return; }

  let outer = element / slice;
  let inner = element % params.inner;
  let row = u32(index[element]);
  if (row < params.n) {
    result[element] = source[(outer * params.n + row) * params.inner + inner];
  } else {
    result[element] = Element();
    reportBadData(params.statusCode);
  }
}
