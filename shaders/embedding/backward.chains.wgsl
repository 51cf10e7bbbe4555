// uses: order
// Gradient of a large table, second stage: the first position of each chain adds up its chain, in order, and writes the
// row of its id. An invocation owns some columns.
// 1: dOut [count, E], 2: ids [count], 3: links [count] (see backward.chains.links.wgsl), 4: dWeight [V, E], zeroed before.
// Vector: f32, or vec4<f32> where E is a multiple of four and `store` is as it stands here. E: width of a row in Vectors.
alias Index = i32;
alias Vector = f32;
const SIZE: u32 = 64u;
const E: u32 = 64u;
const HEAD: u32 = 0x80000000u;

struct Params { start: u32, end: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dOut: array<Vector>;
@group(0) @binding(2) var<storage, read> ids: array<Index>;
@group(0) @binding(3) var<storage, read> links: array<u32>;
@group(0) @binding(4) var<storage, read_write> output: array<Vector>;

// What the positions before `start` add up to.
fn before(index: u32) -> Vector { return Vector(); }
fn store(index: u32, value: Vector) { output[index] = value; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let index = linearGroup(group, num_workgroups) * SIZE + lane;
  let first = params.start + index / E;
  if (first >= params.end || links[first] < HEAD) { return; }

  let column = index % E;
  let to = u32(ids[first]) * E + column;
  var sum = before(to);
  // Links lead onwards; should they be garbage (a profiler runs kernels again when their inputs are gone), the loop still ends.
  for (var position = first; position < params.end; position = max(position + 1u, links[position] & ~HEAD)) {
    sum += dOut[position * E + column];
  }
  store(to, sum);
}
