// uses: order, status
// output[position] = weight[ids[position]]: an invocation for each element, neighbours in the same row.
// 1: weight [V, E], 2: ids [count], 3: output [count, E], 4: status. An id outside [0, V) gives zeros and sets the status.
// E: width of a row. Index: type of the ids; u32(id) sends negative ids beyond V.
alias Index = i32;
const SIZE: u32 = 64u;
const E: u32 = 64u;

struct Params { count: u32, V: u32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> ids: array<Index>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read_write> status: array<atomic<u32>>;

fn store(index: u32, value: f32) { output[index] = value; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let index = linearGroup(group, num_workgroups) * SIZE + lane;
  let position = index / E;
  if (position >= params.count) { return; }

  let id = u32(ids[position]);
  let column = index % E;
  if (id < params.V) {
    store(index, weight[id * E + column]);
  } else {
    store(index, 0.0);
    if (column == 0u) { reportBadData(params.statusCode); }
  }
}
