// uses: order, bits
// Sums of CTC over all alignments (Graves et al.: "Connectionist temporal classification", 2006), a workgroup for each sequence.
// The states of a target of length l are its labels with blanks between and around them, 2l + 1 of them. sums[b, t, s] is the
// log of what all paths that are in state s at time t have gathered, t's emission included: from the start, or (REVERSE) from
// the end, which is the same walk over times and states turned round. A lane has every SIZE-th state; a barrier ends a time. Behind an
// input's end, and in states that a target has not, sums are IMPOSSIBLE, which stands for the log of 0.
// 1: sums [B, T, S], 2: log probabilities [T, B, C], 3: targets [B, L], 4: lengths of inputs [B], 5: lengths of targets [B].
alias Target = i32;
alias InputLength = i32;
alias TargetLength = i32;
const SIZE: u32 = 64u;
const REVERSE: bool = false;
const IMPOSSIBLE: f32 = -1e30;

struct Params { B: u32, T: u32, C: u32, L: u32, S: u32, blank: u32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
@group(0) @binding(2) var<storage, read> logProbs: array<f32>;
@group(0) @binding(3) var<storage, read> targets: array<Target>;
@group(0) @binding(4) var<storage, read> inputLengths: array<InputLength>;
@group(0) @binding(5) var<storage, read> targetLengths: array<TargetLength>;

// Hook: what is made of the sums of a sequence.
fn finish(b: u32, input: u32, label: u32, lane: u32) {}

// A length beyond what there is counts as 0.
fn lengthWithin(length: u32, most: u32) -> u32 { return select(0u, length, length <= most); }

fn labelOf(b: u32, s: u32) -> u32 {
  if (s % 2u == 0u) { return params.blank; }
  return min(u32(targets[b * params.L + s / 2u]), params.C - 1u);
}

fn logSum(a: f32, b: f32, c: f32) -> f32 {
  let most = max(max(a, b), c);
  // One that is NaN makes all of it so.
  let sum = a + b + c;
  if (most <= -1e29 && !isNaN(sum)) { return IMPOSSIBLE; }
  // The difference of infinities.
  if (most > 3.4028234e38) { return notANumber(); }
  return keepNaN(most + log(exp(a - most) + exp(b - most) + exp(c - most)), sum);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let b = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups);
  var input = 0u;
  var states = 0u;
  if (b < params.B) {
    input = lengthWithin(u32(inputLengths[b]), params.T);
    states = 2u * lengthWithin(u32(targetLengths[b]), params.L) + 1u;
  }

  let end = select(0u, params.S, b < params.B);
  for (var step = 0u; step < params.T; step++) {
    let isInside = step < input;
    let t = select(step, input - 1u - step, REVERSE && isInside);
    let at = (b * params.T + t) * params.S;
    let before = select(at - params.S, at + params.S, REVERSE);
    for (var k = lane; k < end; k += SIZE) {
      if (!isInside || k >= states) {
        sums[at + k] = IMPOSSIBLE;
        continue;
      }
      let s = select(k, states - 1u - k, REVERSE);
      let label = labelOf(b, s);
      // Paths begin before the first time, in the first state or on their way to the second.
      var own = select(IMPOSSIBLE, 0.0, step == 0u && k <= 1u);
      var one = IMPOSSIBLE;
      var two = IMPOSSIBLE;
      if (step > 0u) {
        own = sums[before + s];
        if (k > 0u) { one = sums[before + select(s - 1u, s + 1u, REVERSE)]; }
        if (k > 1u && label != params.blank) {
          let other = select(s - 2u, s + 2u, REVERSE);
          if (labelOf(b, other) != label) { two = sums[before + other]; }
        }
      }
      sums[at + s] = logSum(own, one, two) + logProbs[(t * params.B + b) * params.C + label];
    }
    storageBarrier();
  }
  if (b < params.B) { finish(b, input, states / 2u, lane); }
}
