// uses: order.wgsl
// Cross-entropy of logits [rows, V] with class indices: loss = (1 − ε) · −log p(target) + ε / V · Σ −log p, with label
// smoothing ε (Szegedy et al.: "Rethinking the Inception architecture", 2016). LANES neighbouring lanes share a row,
// SIZE / LANES rows a workgroup; each lane takes its own maximum m, Σ exp(x − m) and Σ x, which meet in workgroup memory
// in two levels. With LANES = 1 a thread owns a row and nothing is shared.
// A row whose target is ignoreIndex has loss and weight 0; a target outside [0, V) sets the status word, and counts so too.
// 1: loss [rows], 2: logsumexp [rows], 3: weight [rows], 4: logits, 5: targets, 6: status.
// Element is vec4<f32> where V is a multiple of four; n and all indices then count vectors.
alias Element = f32;
alias Index = i32;
const SIZE: u32 = 256u;
const LANES: u32 = 64u;
const FAN: u32 = 8u;
const BLOCK: u32 = 32u;

struct Params { rows: u32, n: u32, V: u32, ignoreIndex: i32, labelSmoothing: f32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read_write> logSumExp: array<f32>;
@group(0) @binding(3) var<storage, read_write> counted: array<f32>;
@group(0) @binding(4) var<storage, read> logits: array<Element>;
@group(0) @binding(5) var<storage, read> targets: array<Index>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;

var<workgroup> partial: array<vec3<f32>, SIZE>;

fn maxOf(v: Element) -> f32 { return v; }
fn sumOf(v: Element) -> f32 { return v; }
fn logitAt(start: u32, j: u32) -> f32 { return logits[start + j]; }

// Joins two triples (m, Σ exp(x − m), Σ x).
fn join(a: vec3<f32>, b: vec3<f32>) -> vec3<f32> {
  let m = max(a.x, b.x);
  return vec3<f32>(m, a.y * exp(max(a.x - m, -104.0)) + b.y * exp(max(b.x - m, -104.0)), a.z + b.z);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + lane / LANES;
  let along = lane % LANES;
  let n = select(0u, params.n, row < params.rows);
  let start = row * params.n;

  var most = Element(-3.4028234e38);
  for (var j = along; j < n; j += LANES) { most = max(most, logits[start + j]); }
  let m = maxOf(most);
  // Sums of sums: rounding errors grow with BLOCK + n / BLOCK, not with n.
  var whole = vec3<f32>(m, 0.0, 0.0);
  for (var block = along; block < n; block += BLOCK * LANES) {
    var exps = Element(0.0);
    var sum = Element(0.0);
    for (var j = block; j < min(n, block + BLOCK * LANES); j += LANES) {
      let x = logits[start + j];
      exps += exp(max(x - m, Element(-104.0)));
      sum += x;
    }
    whole += vec3<f32>(0.0, sumOf(exps), sumOf(sum));
  }

  if (LANES > 1u) {
    partial[lane] = whole;
    workgroupBarrier();
    // Lane k of the first FAN gathers k, k + FAN, …: no other lane touches those.
    if (along < FAN) {
      for (var k = FAN; along + k < LANES; k += FAN) { whole = join(whole, partial[lane + k]); }
      partial[lane] = whole;
    }
    workgroupBarrier();
    if (along == 0u) {
      for (var k = 1u; k < min(FAN, LANES); k++) { whole = join(whole, partial[lane + k]); }
    }
  }

  if (n > 0u && along == 0u) {
    let label = i32(targets[row]);
    let ignored = label == params.ignoreIndex;
    let valid = label >= 0 && u32(label) < params.V;
    if (!ignored && !valid) { atomicMax(&status[0], params.statusCode); }
    // The differences first: x and m may be large.
    let logSum = log(whole.y);
    var loss = 0.0;
    if (!ignored && valid) {
      loss = logSum - (logitAt(start, u32(label)) - whole.x);
      if (params.labelSmoothing > 0.0) {
        loss += params.labelSmoothing * (logSum - (whole.z / f32(params.V) - whole.x) - loss);
      }
    }
    output[row] = loss;
    logSumExp[row] = whole.x + logSum;
    counted[row] = select(0.0, 1.0, !ignored && valid);
  }
}
