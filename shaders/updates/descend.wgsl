// uses: order, findings, packed
// One step of stochastic gradient descent over all parameters in one flat buffer, an invocation to VECTORS Vectors.
// 1: parameters [N], 2: gradients [N], 3: hyper [groups, 5], see `sgdHyper`; then what `direction` and `turnOf` read.
struct Hyper { lr: f32, momentum: f32, weightDecay: f32, nesterov: f32, end: f32 }

@group(0) @binding(1) var<storage, read_write> parameters: array<Vector>;
@group(0) @binding(2) var<storage, read> gradients: array<Vector>;
@group(0) @binding(3) var<storage, read> hyper: array<Hyper>;

// The direction to go in step `step`, given the gradient with its weight decay.
fn direction(index: u32, gradient: Vector, h: Hyper, step: f32) -> Vector { return gradient; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups);
  let index = group * SIZE + lane;
  countStep(index);
  let first = index * VECTORS;
  if (!WHOLE && first * WIDTH >= params.elements) { return; }
  let turn = turnOf(first * WIDTH);
  if (!turn.runs) { return; }
  let h = hyper[turn.group];
  var written = Bits(0u);
  for (var own = 0u; own < VECTORS; own++) {
    let i = first + own;
    if (!WHOLE && i * WIDTH >= params.elements) { break; }
    let parameter = parameters[i];
    let gradient = gradients[i] * turn.scale + h.weightDecay * parameter;
    let next = parameter - h.lr * direction(i, gradient, h, turn.step);
    parameters[i] = next;
    written = max(written, magnitude(next));
  }
  tellOf(written, first * WIDTH);
}
