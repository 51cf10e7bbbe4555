// uses: order, bits
// Gradient of CTC: the share of all paths that emit class c at time t, times −dloss: an invocation for each of them adds up the
// states with the label c. 1: gradient [T, B, C], 2: ends, the sums from the end [B, T, S], 3: starts, those from the start, 4: log probabilities
// [T, B, C], 5: targets [B, L], 6: lengths of inputs [B], 7: losses and their gradients [B, 2], 8: lengths of targets [B].
// Behind an input's length, and where the loss has no gradient, it is 0.
alias Target = i32;
alias InputLength = i32;
alias TargetLength = i32;
const SIZE: u32 = 64u;

struct Params { B: u32, T: u32, C: u32, L: u32, S: u32, blank: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> gradient: array<f32>;
@group(0) @binding(2) var<storage, read> ends: array<f32>;
@group(0) @binding(3) var<storage, read> starts: array<f32>;
@group(0) @binding(4) var<storage, read> logProbs: array<f32>;
@group(0) @binding(5) var<storage, read> targets: array<Target>;
@group(0) @binding(6) var<storage, read> inputLengths: array<InputLength>;
@group(0) @binding(7) var<storage, read> losses: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read> targetLengths: array<TargetLength>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let index = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups) * SIZE + lane;
  if (index >= params.T * params.B * params.C) { return; }
  let c = index % params.C;
  let b = index / params.C % params.B;
  let t = index / params.C / params.B;
  let labels = u32(targetLengths[b]);
  let loss = losses[b];
  let isBlank = c == params.blank;
  let count = select(0u, labels + select(0u, 1u, isBlank), labels <= params.L && t < u32(inputLengths[b]) && (loss.y != 0.0 || isNaN(loss.y)));

  var share = 0.0;
  var isLabel = false;
  let first = (b * params.T + t) * params.S;
  for (var k = 0u; k < count; k++) {
    var s = first + 2u * k;
    if (!isBlank) {
      if (u32(targets[b * params.L + k]) != c) { continue; }
      s += 1u;
    }
    isLabel = true;
    let paths = starts[s] + ends[s];
    // A state that no path reaches has no share, whatever the emission is.
    if (paths > -1e29 || isNaN(paths)) {
      let exponent = paths - logProbs[index] + loss.x;
      share += keepNaN(exp(exponent), exponent);
    }
  }
  // Without a path there is no gradient, and without a state nothing to have one.
  if (loss.x > 3.4028234e38) { share = notANumber(); }
  gradient[index] = select(0.0, -loss.y * share, isLabel);
}
