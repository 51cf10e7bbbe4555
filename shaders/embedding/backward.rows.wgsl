// uses: order, sideSum
// Gradient of a small table: an invocation owns some columns of one row and adds, in order, the gradients of every
// position that holds its id, to what `before` gives. Reads all ids from `start` to `end` for each row; ids outside the table belong to no row.
// 1: dOut [count, E], 2: ids [count], 3: dWeight [V, E].
// Vector: f32, or vec4<f32> where E is a multiple of four and `store` is as it stands here. E: width of a row in Vectors.
alias Index = i32;
alias Vector = f32;
const SIZE: u32 = 64u;
const E: u32 = 64u;

struct Params { start: u32, end: u32, V: u32, sides: u32, sideRows: u32, sideColumns: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dOut: array<Vector>;
@group(0) @binding(2) var<storage, read> ids: array<Index>;
@group(0) @binding(3) var<storage, read_write> output: array<Vector>;

fn before(index: u32) -> Vector { return Vector(); }
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
  let index = place - params.sides * SIZE;
  let row = index / E;
  if (row >= params.V) { return; }

  let column = index % E;
  var sum = before(index);
  for (var position = params.start; position < params.end; position++) {
    if (u32(ids[position]) == row) { sum += dOut[position * E + column]; }
  }
  store(index, sum);
}
