// uses: order.wgsl
// Sums of squares of a flat gradient: each workgroup takes every groups-th run of SIZE Vectors and gives one sum.
// 1: gradients [elements] in Vectors, 2: squares [groups].
// Vector: f32, or vec4<f32> where the number of elements is a multiple of four.
alias Vector = f32;
const SIZE: u32 = 256u;

struct Params { elements: u32, groups: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gradients: array<Vector>;
@group(0) @binding(2) var<storage, read_write> squares: array<f32>;

var<workgroup> sums: array<f32, SIZE>;

fn total(v: Vector) -> f32 { return v; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  var own = Vector();
  for (var i = group.x * SIZE + lane; i < params.elements; i += params.groups * SIZE) {
    let gradient = gradients[i];
    own += gradient * gradient;
  }
  sums[lane] = total(own);
  for (var half = SIZE / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { sums[lane] += sums[lane + half]; }
  }
  if (lane == 0u) { squares[group.x] = sums[0]; }
}
