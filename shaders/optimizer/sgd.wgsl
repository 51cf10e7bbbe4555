// uses: order.wgsl
// One step of stochastic gradient descent over all parameters in one flat buffer, an invocation to a Vector.
// 1: parameters [N], 2: gradients [N], 3: hyper [groups, 8], see `sgdHyper`.
// Vector: vec4<f32> (WIDTH 4), or f32 (WIDTH 1) where a group's end is no multiple of four.
alias Vector = f32;
const SIZE: u32 = 256u;
const WIDTH: u32 = 1u;

struct Params {
  elements: u32,
  end0: u32, end1: u32, end2: u32, end3: u32, end4: u32, end5: u32, end6: u32, end7: u32,
}

struct Hyper { lr: f32, momentum: f32, weightDecay: f32, nesterov: f32, first: f32, unused0: f32, unused1: f32, unused2: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> parameters: array<Vector>;
@group(0) @binding(2) var<storage, read> gradients: array<Vector>;
@group(0) @binding(3) var<storage, read> hyper: array<Hyper>;

// Groups lie one after another; group g ends before element end_g, and ends that are not used are the number of elements.
fn groupOf(element: u32) -> u32 {
  let low = vec4<u32>(element) >= vec4<u32>(params.end0, params.end1, params.end2, params.end3);
  let high = vec4<u32>(element) >= vec4<u32>(params.end4, params.end5, params.end6, params.end7);
  let passed = select(vec4<u32>(), vec4<u32>(1u), low) + select(vec4<u32>(), vec4<u32>(1u), high);
  return passed.x + passed.y + passed.z + passed.w;
}

// The factor of gradient clipping, where there is one.
fn gradientScale() -> f32 { return 1.0; }

// The direction to go, given the gradient with its weight decay.
fn direction(index: u32, gradient: Vector, h: Hyper) -> Vector { return gradient; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let index = linearGroup(group, num_workgroups) * SIZE + lane;
  let element = index * WIDTH;
  if (element >= params.elements) { return; }

  let h = hyper[groupOf(element)];
  let parameter = parameters[index];
  let gradient = gradients[index] * gradientScale() + h.weightDecay * parameter;
  parameters[index] = parameter - h.lr * direction(index, gradient, h);
}
