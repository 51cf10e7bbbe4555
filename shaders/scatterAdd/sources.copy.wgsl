// uses: order
// First stage of the scatter by sources: result = base.
// 1: base [count], 2: result [count].
alias Element = f32;
const SIZE: u32 = 64u;

struct Params { count: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> base: array<Element>;
@group(0) @binding(2) var<storage, read_write> result: array<Element>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let element = linearGroup(group, num_workgroups) * SIZE + lane;
  if (element < params.count) { result[element] = base[element]; }
}
