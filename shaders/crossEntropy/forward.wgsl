// uses: order, bits, lanes, meeting, status
// Cross-entropy of logits [rows, V] with class indices: loss = (1 − ε) · −log p(target) + ε / V · Σ −log p, with label
// smoothing ε (Szegedy et al.: "Rethinking the Inception architecture", 2016). Lanes walk over their pieces once, for the
// maximum m, for Σ exp(x − m), which shrinks whenever m grows, and for Σ (x − first) where SMOOTH, x being large perhaps and
// the row's first logit about as large.
// A row whose target is ignoreIndex has loss and weight 0; a target outside [0, V) sets the status word, and counts so too.
// 1: loss [rows], 2: statistics [rows] of (m, log Σ exp(x − m)), 3: weight [rows], 4: logits, 5: targets, 6: status.
alias Index = i32;
const SMOOTH: bool = true;

// n: Elements of a row; a lane has `pieces` pieces of it.
struct Params { rows: u32, n: u32, pieces: u32, V: u32, ignoreIndex: i32, labelSmoothing: f32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read_write> statistics: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> counted: array<f32>;
@group(0) @binding(4) var<storage, read> logits: array<Element>;
@group(0) @binding(5) var<storage, read> targets: array<Index>;
@group(0) @binding(6) var<storage, read_write> status: array<atomic<u32>>;

struct Accumulator { most: f32, exps: f32, rest: f32 }
fn combine(a: Accumulator, b: Accumulator) -> Accumulator {
  let m = max(a.most, b.most);
  return Accumulator(m, a.exps * decayRow(a.most - m) + b.exps * decayRow(b.most - m), a.rest + b.rest);
}

fn logitAt(start: u32, v: u32) -> f32 { return logits[start + v]; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + rowOf(lane);
  let part = partOf(lane);
  let pieces = select(0u, params.pieces, row < params.rows);
  let start = row * params.n;
  let last = params.n - 1u;

  let first = logitAt(start, 0u);
  var whole = Accumulator(-3.4028234e38, 0.0, 0.0);
  var j = part;
  for (var left = pieces; left > 0u; left--) {
    let a = logits[place(start, j, last)];
    let b = logits[place(start, j + LANES, last)];
    let c = logits[place(start, j + 2u * LANES, last)];
    let d = logits[place(start, j + 3u * LANES, last)];
    let m = max(whole.most, maxOf(max(max(a, b), max(c, d))));
    let low = zeroed(decay(a - m), j, last) + zeroed(decay(b - m), j + LANES, last);
    let high = zeroed(decay(c - m), j + 2u * LANES, last) + zeroed(decay(d - m), j + 3u * LANES, last);
    var rest = whole.rest;
    if (SMOOTH) {
      let near = zeroed(a - first, j, last) + zeroed(b - first, j + LANES, last);
      rest += sumOf(near + (zeroed(c - first, j + 2u * LANES, last) + zeroed(d - first, j + 3u * LANES, last)));
    }
    whole = Accumulator(m, whole.exps * decayRow(whole.most - m) + sumOf(low + high), rest);
    j += 4u * LANES;
  }

  if (LANES > 1u) {
    let lanes = rowOf(lane) * LANES;
    gather(whole, lanes, part);
    if (part == 0u) { whole = gathered(lanes); }
  }

  if (pieces > 0u && part == 0u) {
    let label = i32(targets[row]);
    let ignored = label == params.ignoreIndex;
    let valid = label >= 0 && u32(label) < params.V;
    if (!ignored && !valid) { reportBadData(params.statusCode); }
    // The differences first: x and m may be large.
    let logSum = logOf(totalOf(whole.exps));
    var loss = 0.0;
    if (!ignored && valid) {
      loss = logSum - (logitAt(start, u32(label)) - whole.most);
      if (SMOOTH) { loss += params.labelSmoothing * (logSum - (first - whole.most + whole.rest / f32(params.V)) - loss); }
    }
    output[row] = loss;
    statistics[row] = vec2<f32>(whole.most, logSum);
    counted[row] = select(0.0, 1.0, !ignored && valid);
  }
}
