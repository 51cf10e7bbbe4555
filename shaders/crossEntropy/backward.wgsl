// uses: order.wgsl
// Gradient of cross-entropy: dlogits = dloss[row] · (softmax(logits) − (1 − ε) onehot(target) − ε / V), 0 for a row whose
// target is ignored or invalid. LANES neighbouring lanes share a row, SIZE / LANES rows a workgroup; nothing is shared.
// 1: dlogits, 2: logits [rows, V], 3: targets, 4: logsumexp [rows], 5: dloss [rows], or one for all where dLossStride is 0.
// Element is vec4<f32> where V is a multiple of four; n and all indices then count vectors.
alias Element = f32;
alias Index = i32;
const SIZE: u32 = 256u;
const LANES: u32 = 64u;

struct Params { rows: u32, n: u32, V: u32, ignoreIndex: i32, labelSmoothing: f32, dLossStride: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> logits: array<Element>;
@group(0) @binding(3) var<storage, read> targets: array<Index>;
@group(0) @binding(4) var<storage, read> logSumExp: array<f32>;
@group(0) @binding(5) var<storage, read> dLoss: array<f32>;

// 1 where element j holds class `label`.
fn oneHot(j: u32, label: u32) -> Element { return select(0.0, 1.0, j == label); }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + lane / LANES;
  if (row >= params.rows) { return; }

  let label = i32(targets[row]);
  let counts = label != params.ignoreIndex && label >= 0 && u32(label) < params.V;
  let scale = select(0.0, dLoss[row * params.dLossStride], counts);
  let total = logSumExp[row];
  let hot = 1.0 - params.labelSmoothing;
  let cold = params.labelSmoothing / f32(params.V);
  for (var j = lane % LANES; j < params.n; j += LANES) {
    let index = row * params.n + j;
    let p = exp(clamp(logits[index] - total, Element(-104.0), Element(0.0)));
    output[index] = scale * (p - hot * oneHot(j, u32(label)) - cold);
  }
}
