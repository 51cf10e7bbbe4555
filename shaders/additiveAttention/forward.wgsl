// uses: order, bits, lanes, meeting, math
// Additive attention (Bahdanau, Cho, Bengio: "Neural machine translation by jointly learning to align and translate", 2015).
// A row is a query. Its lanes take positions of the source in turn: their scores e_s = Σ_a v_a tanh(q_a + k_sa) wait in
// `weights` until the row's maximum and sum are known, and become w = softmax(e) there. Then each lane sums Values of the
// context Σ_s w_s x_s. With LANES = 1 a lane owns its row and nothing is shared.
// 1: context [rows, D], 2: weights [rows, S], 3: queries [rows, A], 4: keys [B, S, A], 5: values [B, S, D], 6: v [A]. Rows of
// a source follow one another, Q for each. Behind its length, which `lengthOf` gives, weights are 0 and nothing is read.
// Element: of queries, keys and v. Value: of values and context.
alias Value = f32;

// A counts Elements, D Values.
struct Params { rows: u32, Q: u32, S: u32, A: u32, D: u32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> context: array<Value>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;
@group(0) @binding(3) var<storage, read> queries: array<Element>;
@group(0) @binding(4) var<storage, read> keys: array<Element>;
@group(0) @binding(5) var<storage, read> values: array<Value>;
@group(0) @binding(6) var<storage, read> vector: array<Element>;

struct Accumulator { most: f32, sum: f32 }
fn combine(a: Accumulator, b: Accumulator) -> Accumulator {
  let m = max(a.most, b.most);
  return Accumulator(m, a.sum * decayRow(a.most - m) + b.sum * decayRow(b.most - m));
}

fn lengthOf(source: u32) -> u32 { return params.S; }

fn scoreOf(query: u32, key: u32) -> f32 {
  var sum = Element(0.0);
  for (var a = 0u; a < params.A; a++) { sum += vector[a] * safeTanh(queries[query + a] + keys[key + a]); }
  return sumOf(sum);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + lane / LANES;
  let part = lane % LANES;
  let isRow = row < params.rows;
  let source = row / params.Q;
  var length = 0u;
  if (isRow) { length = lengthOf(source); }

  let first = row * params.S;
  var whole = Accumulator(-3.4028234e38, 0.0);
  for (var s = part; s < length; s += LANES) {
    let score = scoreOf(row * params.A, (source * params.S + s) * params.A);
    weights[first + s] = score;
    whole = combine(whole, Accumulator(score, 1.0));
  }

  if (LANES > 1u) {
    let place = lane - part;
    gather(whole, place, part);
    whole = gathered(place);
  }

  let scale = 1.0 / totalOf(whole.sum);
  let end = select(0u, params.S, isRow);
  for (var s = part; s < end; s += LANES) {
    var weight = 0.0;
    if (s < length) { weight = decayRow(weights[first + s] - whole.most) * scale; }
    weights[first + s] = weight;
  }

  if (LANES > 1u) {
    storageBarrier();
  }

  for (var d = part; d < select(0u, params.D, isRow); d += LANES) {
    var sum = Value(0.0);
    for (var s = 0u; s < length; s++) { sum += weights[first + s] * values[(source * params.S + s) * params.D + d]; }
    context[row * params.D + d] = sum;
  }
}
