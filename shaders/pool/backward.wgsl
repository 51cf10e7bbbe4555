// uses: order
// What the gradients of windows [planes, OH, OW] are to the pixels that were the greatest of them: a pixel sums up the
// gradients of windows that found it, in their order. An invocation for each pixel of [planes, H, W].
//
// 1: dy, 2: positions, 3: table, 4: output. The table has two numbers for each row of pixels, and behind those two for each
// column: the first row or column of windows that may have met it, and how many there are.
const SIZE: u32 = 64u;

struct Params { planes: u32, H: u32, W: u32, OH: u32, OW: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> positions: array<i32>;
@group(0) @binding(3) var<storage, read> table: array<f32>;
@group(0) @binding(4) var<storage, read_write> output: array<f32>;

fn store(index: u32, value: f32) { output[index] = value; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let index = linearGroup(group, num_workgroups) * SIZE + lane;
  let line = index / params.W;
  let place = 2u * (params.H + index - line * params.W);
  let plane = line / params.H;
  if (plane >= params.planes) { return; }
  let row = 2u * (line - plane * params.H);

  let own = i32(index - plane * params.H * params.W);
  let top = plane * params.OH + u32(table[row]);
  let bottom = top + u32(table[row + 1u]);
  let left = u32(table[place]);
  let width = u32(table[place + 1u]);
  var sum = 0.0;
  for (var i = top; i < bottom; i++) {
    let start = i * params.OW + left;
    for (var at = start; at < start + width; at++) {
      // A select, so that a gradient that is infinite stays with its pixel.
      sum += select(0.0, dy[at], positions[at] == own);
    }
  }
  store(index, sum);
}
