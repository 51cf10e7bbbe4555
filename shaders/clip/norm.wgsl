// uses: order
// Norm of a gradient and the factor that clips it, from partial sums of squares.
// 1: squares [count], 2: norm [1], 3: scale [1], 4: status, where that is reported to. The scale is min(1, maxNorm / (norm +
// 1e-6)), and NaN where the norm is, as in PyTorch. What is not finite is told by its bits: WGSL promises nothing about it.
const SIZE: u32 = 64u;

struct Params { count: u32, maxNorm: f32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> squares: array<f32>;
@group(0) @binding(2) var<storage, read_write> norm: array<f32>;
@group(0) @binding(3) var<storage, read_write> scale: array<f32>;

var<workgroup> sums: array<f32, SIZE>;

// What is done about a norm that is not finite.
fn reportNonfinite() {}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  var own = 0.0;
  for (var i = lane; i < params.count; i += SIZE) { own += squares[i]; }
  sums[lane] = own;
  for (var half = SIZE / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { sums[lane] += sums[lane + half]; }
  }
  if (lane == 0u) {
    let magnitude = bitcast<u32>(sums[0]) & 0x7fffffffu;
    norm[0] = sqrt(sums[0]);
    var factor = min(1.0, params.maxNorm / (sqrt(sums[0]) + 1e-6));
    if (magnitude >= 0x7f800000u) {
      reportNonfinite();
      norm[0] = sums[0];
      factor = select(sums[0], 0.0, magnitude == 0x7f800000u);
    }
    scale[0] = factor;
  }
}
