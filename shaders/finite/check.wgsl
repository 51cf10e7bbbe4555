// uses: order, bits, status
// Reports an element that is infinite or NaN, unless the status tells of something else already: values are looked at in the
// order in which they are made, so the first one is named.
// 1: source [count], 2: status.
const SIZE: u32 = 64u;

struct Params { count: u32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> status: array<atomic<u32>>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let i = linearGroup(group, num_workgroups) * SIZE + lane;
  if (i >= params.count || isFinite(source[i])) { return; }
  if (atomicLoad(&status[0]) == 0u) { reportBadData(params.statusCode); }
}
