// uses: order, findings, packed
// One step of AdamW (Loshchilov, Hutter: "Decoupled weight decay regularization", ICLR 2019) or Adam (Kingma, Ba, ICLR
// 2015) over all parameters in one flat buffer, an invocation to VECTORS Vectors.
// 1: parameters [N], 2: gradients [N], 3: mean [N], 4: square [N], 5: hyper [groups, 9], see `adamHyper`; then what
// `turnOf` reads.
struct Hyper { lr: f32, beta1: f32, beta2: f32, eps: f32, decay: f32, l2: f32, logBeta1: f32, logBeta2: f32, end: f32 }

@group(0) @binding(1) var<storage, read_write> parameters: array<Vector>;
@group(0) @binding(2) var<storage, read> gradients: array<Vector>;
@group(0) @binding(3) var<storage, read_write> mean: array<Vector>;
@group(0) @binding(4) var<storage, read_write> square: array<Vector>;
@group(0) @binding(5) var<storage, read> hyper: array<Hyper>;

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
  let stepSize = h.lr / undecayed(turn.step, h.logBeta1);
  let correction = inverseSqrt(undecayed(turn.step, h.logBeta2));
  var written = Bits(0u);
  for (var own = 0u; own < VECTORS; own++) {
    let i = first + own;
    if (!WHOLE && i * WIDTH >= params.elements) { break; }
    let parameter = parameters[i];
    let gradient = gradients[i] * turn.scale + h.l2 * parameter;
    let m = h.beta1 * mean[i] + (1.0 - h.beta1) * gradient;
    let v = h.beta2 * square[i] + (1.0 - h.beta2) * gradient * gradient;
    mean[i] = m;
    square[i] = v;
    let next = parameter - h.decay * parameter - stepSize * m / (sqrt(v) * correction + h.eps);
    parameters[i] = next;
    // A square that has overflowed holds its parameter where it is from then on. No square is negative.
    written = max(written, max(magnitude(next), bitcast<Bits>(v)));
  }
  tellOf(written, first * WIDTH);
}
