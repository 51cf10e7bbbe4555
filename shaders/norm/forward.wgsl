// uses: order.wgsl
// Layer norm (CENTRED) y = (x − mean) / σ · weight + bias, or RMS norm, over the rows of x [rows, E]. LANES neighbouring
// lanes share a row, SIZE / LANES rows a workgroup; with LANES = 1 a thread owns a row and nothing is shared.
// The mean comes first; then the sums of d = x − mean and of d² together, where Σ d is what rounding left out of the
// mean (Chan, Golub, LeVeque: "Algorithms for computing the sample variance", 1983). So a large mean costs no accuracy.
// 1: output, 2: statistics [rows] of (mean, 1/σ), 3: source, then weight and bias where `gain` and `shift` read them.
// Element is vec4<f32> where E is a multiple of four; n and all indices then count vectors. `store` is the epilogue.
alias Element = f32;
alias Result = f32;
const SIZE: u32 = 256u;
const LANES: u32 = 64u;
const CENTRED: bool = true;
const FAN: u32 = 8u;
const BLOCK: u32 = 32u;

struct Params { rows: u32, n: u32, E: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Result>;
@group(0) @binding(2) var<storage, read_write> statistics: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> source: array<Element>;

var<workgroup> partial: array<vec2<f32>, SIZE>;

fn sumOf(v: Element) -> f32 { return v; }
fn gain(e: u32) -> Element { return Element(1.0); }
fn shift(e: u32) -> Element { return Element(0.0); }
fn store(index: u32, value: f32) { output[index] = value; }
fn write(index: u32, value: Element) { store(index, value); }

// The sums of d = x − mean and of d² over the lane's own elements, as sums of sums: rounding errors grow with
// BLOCK + n / BLOCK, not with n.
fn ownSums(start: u32, along: u32, n: u32, mean: f32) -> vec2<f32> {
  var sums = vec2<f32>(0.0);
  for (var block = along; block < n; block += BLOCK * LANES) {
    var sum = Element(0.0);
    var squares = Element(0.0);
    for (var j = block; j < min(n, block + BLOCK * LANES); j += LANES) {
      let d = source[start + j] - mean;
      sum += d;
      squares += d * d;
    }
    sums += vec2<f32>(sumOf(sum), sumOf(squares));
  }
  return sums;
}

// The sum over the lanes of a row, known to all of them.
fn rowSum(lane: u32, own: vec2<f32>) -> vec2<f32> {
  if (LANES == 1u) { return own; }
  let along = lane % LANES;
  var sum = own;
  // The lanes have read the sum before this one.
  workgroupBarrier();
  partial[lane] = sum;
  workgroupBarrier();
  // Lane k of the first FAN gathers k, k + FAN, …: no other lane touches those.
  if (along < FAN) {
    for (var k = FAN; along + k < LANES; k += FAN) { sum += partial[lane + k]; }
    partial[lane] = sum;
  }
  workgroupBarrier();
  sum = vec2<f32>(0.0);
  for (var k = 0u; k < min(FAN, LANES); k++) { sum += partial[lane - along + k]; }
  return sum;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + lane / LANES;
  let along = lane % LANES;
  let n = select(0u, params.n, row < params.rows);
  let start = row * params.n;
  let E = f32(params.E);

  var mean = 0.0;
  if (CENTRED) { mean = rowSum(lane, ownSums(start, along, n, 0.0)).x / E; }
  let sums = rowSum(lane, ownSums(start, along, n, mean));
  var rest = 0.0;
  if (CENTRED) { rest = sums.x / E; }
  let deviation = inverseSqrt(max(sums.y / E - rest * rest, 0.0) + params.eps);

  for (var j = along; j < n; j += LANES) {
    write(start + j, (source[start + j] - mean - rest) * deviation * gain(j) + shift(j));
  }
  if (n > 0u && along == 0u) { statistics[row] = vec2<f32>(mean + rest, deviation); }
}
