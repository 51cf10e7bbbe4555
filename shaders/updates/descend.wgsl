// uses: order, findings, packed
// One step against the gradient, by a rule, over all parameters in one flat buffer, an invocation to VECTORS Vectors.
// 1: parameters [N], 2: gradients [N], 3: hyper [groups, 7], see `descendHyper`; then what `direction` and `turnOf` read. Weight decay is
// added to the gradient (l2), or acts on the parameter (decay); a, b and c are the rule's.
struct Hyper { lr: f32, l2: f32, decay: f32, a: f32, b: f32, c: f32, end: f32 }

@group(0) @binding(1) var<storage, read_write> parameters: array<Vector>;
@group(0) @binding(2) var<storage, read> gradients: array<Vector>;
@group(0) @binding(3) var<storage, read> hyper: array<Hyper>;

// Hook: the direction to go in step `step`, given the gradient with its weight decay.
fn direction(index: u32, gradient: Vector, h: Hyper, step: f32) -> Vector { return gradient; }
// Hook: what a rule keeps that must be finite, since it would hold its parameter where it is from then on.
fn kept(index: u32) -> Bits { return Bits(0u); }

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
    let gradient = gradients[i] * turn.scale + h.l2 * parameter;
    let next = parameter - h.decay * parameter - h.lr * direction(i, gradient, h, turn.step);
    parameters[i] = next;
    written = max(written, max(magnitude(next), kept(i)));
  }
  tellOf(written, first * WIDTH);
}
