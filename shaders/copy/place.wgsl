// uses: order.wgsl
// Overwrites `size` elements of a flat buffer, from `offset` on.
struct Params { size: u32, offset: u32 }
alias T = f32;
const SIZE: u32 = 64u;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> flat: array<T>;
@group(0) @binding(2) var<storage, read> values: array<T>;
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let i = linearGroup(group, num_workgroups) * SIZE + lane;
  if (i < params.size) { flat[params.offset + i] = values[i]; }
}
