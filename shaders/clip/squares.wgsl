// uses: order, bits, lanes, meeting
// Sums of squares of a flat gradient, one for each workgroup: of all workgroups' lanes together, each takes every piece of
// four Elements in its turn.
// 1: gradients [n] in Elements, 2: squares [groups].

struct Params { n: u32, groups: u32, pieces: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<Element>;
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;

alias Accumulator = f32;
fn combine(a: f32, b: f32) -> f32 { return a + b; }

fn square(j: u32, last: u32) -> Element {
  let gradient = zeroed(gradients[place(0u, j, last)], j, last);
  return gradient * gradient;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let step = params.groups * SIZE;
  let last = params.n - 1u;
  let pieces = params.pieces;
  var own = 0.0;
  var j = group.x * SIZE + lane;
  for (var left = pieces; left > 0u; left--) {
    own += sumOf((square(j, last) + square(j + step, last)) + (square(j + 2u * step, last) + square(j + 3u * step, last)));
    j += 4u * step;
  }
  gather(own, 0u, lane);
  if (lane == 0u) { squares[group.x] = gathered(0u); }
}
