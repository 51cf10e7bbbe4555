// uses: order, sideSum
// Gradient of a large table, first stage: zeroes it, and chains the positions that hold the same id.
// 1: ids [count], 2: links [count], 3: dWeight [V, E]. A link is the next position with the same id (count at the end),
// plus HEAD where no earlier position has it. No head leads to an id outside the table. Positions from `start` to `end` of
// many are as if there were no others.
// Vector: f32, or vec4<f32> as in the second stage; `elements` counts Vectors.
alias Index = i32;
alias Vector = f32;
const SIZE: u32 = 64u;
const HEAD: u32 = 0x80000000u;

struct Params { start: u32, end: u32, V: u32, elements: u32, sides: u32, sideRows: u32, sideColumns: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ids: array<Index>;
@group(0) @binding(2) var<storage, read_write> links: array<u32>;
@group(0) @binding(3) var<storage, read_write> output: array<Vector>;

fn store(index: u32, value: Vector) { output[index] = value; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let place = linearGroup(group, num_workgroups) * SIZE + lane;
  if (SIDED && place < params.sides * SIZE) {
    sideSum(place);
    return;
  }
  let element = place - params.sides * SIZE;
  if (element < params.elements) { store(element, Vector()); }
  let index = params.start + element;
  if (index >= params.end) { return; }

  let id = ids[index];
  var head = select(0u, HEAD, u32(id) < params.V);
  for (var earlier = params.start; earlier < index; earlier++) {
    if (ids[earlier] == id) { head = 0u; break; }
  }
  var next = index + 1u;
  while (next < params.end && ids[next] != id) { next++; }
  links[index] = head | next;
}
