// uses: order, bits, lanes
// Gradient of cross-entropy: dlogits = dloss[row] · (softmax(logits) − (1 − ε) onehot(target) − ε / V), 0 for a row whose
// target is ignored or invalid. Nothing is shared by the lanes of a row.
// 1: dlogits, 2: logits [rows, V], 3: targets, 4: statistics [rows] of (m, log Σ exp(x − m)), 5: dloss [rows], or one for all where dLossStride is 0.
alias Index = i32;

// n: Elements of a row; a lane has `pieces` pieces of it.
struct Params { rows: u32, n: u32, pieces: u32, V: u32, ignoreIndex: i32, labelSmoothing: f32, dLossStride: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> logits: array<Element>;
@group(0) @binding(3) var<storage, read> targets: array<Index>;
@group(0) @binding(4) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> dLoss: array<f32>;

// The Element that class v is part of, its logit, and its gradient.
fn elementOf(v: u32) -> u32 { return v; }
fn logitAt(start: u32, v: u32) -> f32 { return logits[start + v]; }
fn writeAt(start: u32, v: u32, value: f32) { output[start + v] = value; }

fn write(start: u32, j: u32, value: Element, last: u32) { if (inside(j, last)) { output[start + j] = value; } }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + rowOf(lane);
  let part = partOf(lane);
  if (row >= params.rows) { return; }

  let label = i32(targets[row]);
  let counts = label != params.ignoreIndex && label >= 0 && u32(label) < params.V;
  let scale = dLoss[row * params.dLossStride];
  let saved = statistics[row];
  // softmax(x) · scale is exp(x − m) · hot: the difference comes first, since both may be large.
  let hot = keepNaN(exp(-saved.y), saved.y) * scale;
  let cold = params.labelSmoothing / f32(params.V) * scale;
  let start = row * params.n;
  let last = params.n - 1u;
  // What does not count is not looked at: a logit there may be NaN.
  var j = part;
  for (var left = select(4u * params.pieces, 0u, counts); left > 0u; left--) {
    write(start, j, Element(), last);
    j += LANES;
  }
  j = part;
  for (var left = select(0u, params.pieces, counts); left > 0u; left--) {
    let a = logits[place(start, j, last)];
    let b = logits[place(start, j + LANES, last)];
    let c = logits[place(start, j + 2u * LANES, last)];
    let d = logits[place(start, j + 3u * LANES, last)];
    write(start, j, decay(a - saved.x) * hot - cold, last);
    write(start, j + LANES, decay(b - saved.x) * hot - cold, last);
    write(start, j + 2u * LANES, decay(c - saved.x) * hot - cold, last);
    write(start, j + 3u * LANES, decay(d - saved.x) * hot - cold, last);
    j += 4u * LANES;
  }
  // The lane that wrote the target's gradient corrects it.
  if (counts && part == elementOf(u32(label)) % LANES) {
    let own = decayRow(logitAt(start, u32(label)) - saved.x) * hot;
    writeAt(start, u32(label), (own - (1.0 - params.labelSmoothing) * scale) - cold);
  }
}
