// uses: order.wgsl
// Gradient of softmax, dx = y (dy − Σ y dy), or of its logarithm (LOG), dx = dy − exp(y) Σ dy, along the middle axis of
// [outer, n, inner]. Lanes, rows and Element as in forward.wgsl.
// 1: dx, 2: y, 3: dy.
alias Element = f32;
const SIZE: u32 = 256u;
const LANES: u32 = 64u;
const LOG: bool = false;
const FAN: u32 = 8u;

struct Params { rows: u32, n: u32, inner: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> y: array<Element>;
@group(0) @binding(3) var<storage, read> dy: array<Element>;

var<workgroup> partial: array<f32, SIZE>;

fn sumOf(v: Element) -> f32 { return v; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + lane / LANES;
  let along = lane % LANES;
  let n = select(0u, params.n, row < params.rows);
  let start = (row / params.inner) * params.n * params.inner + row % params.inner;

  var own = Element(0.0);
  for (var j = along; j < n; j += LANES) {
    let index = start + j * params.inner;
    if (LOG) { own += dy[index]; } else { own += y[index] * dy[index]; }
  }
  var sum = sumOf(own);

  if (LANES > 1u) {
    partial[lane] = sum;
    workgroupBarrier();
    if (along < FAN) {
      for (var k = FAN; along + k < LANES; k += FAN) { sum += partial[lane + k]; }
      partial[lane] = sum;
    }
    workgroupBarrier();
    sum = 0.0;
    for (var k = 0u; k < min(FAN, LANES); k++) { sum += partial[lane - along + k]; }
  }

  for (var j = along; j < n; j += LANES) {
    let index = start + j * params.inner;
    if (LOG) { output[index] = dy[index] - exp(clamp(y[index], Element(-104.0), Element(0.0))) * sum; } else { output[index] = y[index] * (dy[index] - sum); }
  }
}
