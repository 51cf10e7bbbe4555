// uses: order, bits
// The greatest of each window of planes [planes, H, W], the first of equals, and its position in the plane; a NaN counts as
// the greatest. An invocation for each window, [planes, OH, OW].
//
// 1: x, 2: table, 3: output, 4: positions. The table has two numbers for each row of windows, and behind those two for each
// column: the first pixel of the window, and how many there are, `rowStep` or `columnStep` apart.
const SIZE: u32 = 64u;

struct Params { planes: u32, H: u32, W: u32, OH: u32, OW: u32, rowStep: u32, columnStep: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;
@group(0) @binding(4) var<storage, read_write> positions: array<i32>;

fn store(index: u32, value: f32) { output[index] = value; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let index = linearGroup(group, num_workgroups) * SIZE + lane;
  let line = index / params.OW;
  let place = 2u * (params.OH + index - line * params.OW);
  let plane = line / params.OH;
  if (plane >= params.planes) { return; }
  let row = 2u * (line - plane * params.OH);

  let first = plane * params.H * params.W;
  let top = u32(table[row]);
  let bottom = top + u32(table[row + 1u]) * params.rowStep;
  let left = u32(table[place]);
  let right = left + u32(table[place + 1u]) * params.columnStep;
  var best = x[first + top * params.W + left];
  var position = top * params.W + left;
  for (var i = top; i < bottom; i += params.rowStep) {
    for (var j = left; j < right; j += params.columnStep) {
      let at = i * params.W + j;
      let value = x[first + at];
      // A NaN is greater than all but another that came before it.
      if (value > best || (isNaN(value) && !isNaN(best))) {
        best = value;
        position = at;
      }
    }
  }
  store(index, best);
  positions[index] = i32(position);
}
