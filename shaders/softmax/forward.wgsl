// uses: order.wgsl
// Softmax, or its logarithm (LOG), along the middle axis of [outer, n, inner]. LANES neighbouring lanes share a row,
// SIZE / LANES rows a workgroup. Each lane takes the maximum m and the sum of exp(x − m) of its own elements; the pairs
// meet in workgroup memory in two levels (Milakov, Gimelshein: "Online normalizer calculation for softmax", 2018).
// With LANES = 1 a thread owns a row and nothing is shared. Element is vec4<f32> where rows are contiguous and n a
// multiple of four; `n` and all indices then count vectors.
// 1: output, 2: source.
alias Element = f32;
const SIZE: u32 = 256u;
const LANES: u32 = 64u;
const LOG: bool = false;
const FAN: u32 = 8u;
const BLOCK: u32 = 32u;

struct Params { rows: u32, n: u32, inner: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> source: array<Element>;

var<workgroup> partial: array<vec2<f32>, SIZE>;

fn maxOf(v: Element) -> f32 { return v; }
fn sumOf(v: Element) -> f32 { return v; }

// exp of an argument ≤ 0; below -104 it is 0 in f32, and differences of masks may overflow.
fn decay(x: Element) -> Element { return exp(max(x, Element(-104.0))); }

// Joins two pairs (m, Σ exp(x − m)).
fn join(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
  let m = max(a.x, b.x);
  return vec2<f32>(m, a.y * exp(max(a.x - m, -104.0)) + b.y * exp(max(b.x - m, -104.0)));
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + lane / LANES;
  let along = lane % LANES;
  let n = select(0u, params.n, row < params.rows);
  let start = (row / params.inner) * params.n * params.inner + row % params.inner;

  var most = Element(-3.4028234e38);
  for (var j = along; j < n; j += LANES) { most = max(most, source[start + j * params.inner]); }
  let m = maxOf(most);
  // Sums of sums: rounding errors grow with BLOCK + n / BLOCK, not with n.
  var sum = Element(0.0);
  for (var block = along; block < n; block += BLOCK * LANES) {
    var part = Element(0.0);
    for (var j = block; j < min(n, block + BLOCK * LANES); j += LANES) { part += decay(source[start + j * params.inner] - m); }
    sum += part;
  }
  var whole = vec2<f32>(m, sumOf(sum));

  if (LANES > 1u) {
    partial[lane] = whole;
    workgroupBarrier();
    // Lane k of the first FAN gathers k, k + FAN, …: no other lane touches those.
    if (along < FAN) {
      for (var k = FAN; along + k < LANES; k += FAN) { whole = join(whole, partial[lane + k]); }
      partial[lane] = whole;
    }
    workgroupBarrier();
    whole = partial[lane - along];
    for (var k = 1u; k < min(FAN, LANES); k++) { whole = join(whole, partial[lane - along + k]); }
  }

  let scale = 1.0 / whole.y;
  let logSum = log(whole.y);
  for (var j = along; j < n; j += LANES) {
    let index = start + j * params.inner;
    let x = source[index] - whole.x;
    if (LOG) { output[index] = x - logSum; } else { output[index] = decay(x) * scale; }
  }
}
