// uses: order, bits, lanes, meeting, math
// Gradient of additive attention, first part: of the scores and the queries. A row is a query. With g_s the gradient of weight
// w_s, Σ_d dcontext_d x_sd and what else reads the weights, that of a score is de_s = w_s (g_s − Σ w g). Lanes take positions in
// turn for it, and then Elements of the query: with t = tanh(q + k_s), Σ_s de_s (1 − t²) is the query's gradient but for v, and
// Σ_s de_s t the row's part of that of v.
// 1: gradients, those of the queries in front [rows, A], 2: found, de [rows, S] and behind it the parts [rows, A], 3: queries,
// 4: keys [B, S, A], 5: values [B, S, D], 6: weights [rows, S], 7: dcontext [rows, D].
// Where a weight is 0, behind the length of a source, nothing is read. Element: of values and context.

// D counts Elements.
struct Params { rows: u32, Q: u32, S: u32, A: u32, D: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(2) var<storage, read_write> found: array<f32>;
@group(0) @binding(3) var<storage, read> queries: array<f32>;
@group(0) @binding(4) var<storage, read> keys: array<f32>;
@group(0) @binding(5) var<storage, read> values: array<Element>;
@group(0) @binding(6) var<storage, read> weights: array<f32>;
@group(0) @binding(7) var<storage, read> dContext: array<Element>;

alias Accumulator = f32;
fn combine(a: f32, b: f32) -> f32 { return a + b; }

// What the weight itself has for a gradient.
fn ofWeight(index: u32) -> f32 { return 0.0; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + lane / LANES;
  let part = lane % LANES;
  let isRow = row < params.rows;
  let source = row / params.Q;
  let first = row * params.S;
  let end = select(0u, params.S, isRow);

  var total = 0.0;
  for (var s = part; s < end; s += LANES) {
    let weight = weights[first + s];
    var g = 0.0;
    if (weight != 0.0 || isNaN(weight)) {
      var sum = Element(0.0);
      for (var d = 0u; d < params.D; d++) { sum += dContext[row * params.D + d] * values[(source * params.S + s) * params.D + d]; }
      g = sumOf(sum) + ofWeight(first + s);
      total += weight * g;
    }
    found[first + s] = g;
  }

  if (LANES > 1u) {
    let place = lane - part;
    gather(total, place, part);
    total = gathered(place);
  }

  for (var s = part; s < end; s += LANES) {
    let weight = weights[first + s];
    found[first + s] = select(weight * (found[first + s] - total), 0.0, weight == 0.0);
  }

  if (LANES > 1u) {
    storageBarrier();
  }

  for (var a = part; a < select(0u, params.A, isRow); a += LANES) {
    let query = queries[row * params.A + a];
    var slope = 0.0;
    var ofV = 0.0;
    for (var s = 0u; s < params.S; s++) {
      let de = found[first + s];
      if (de == 0.0) { continue; }
      let t = safeTanh(query + keys[(source * params.S + s) * params.A + a]);
      slope += de * (1.0 - t * t);
      ofV += de * t;
    }
    gradients[row * params.A + a] = slope;
    found[params.rows * params.S + row * params.A + a] = ofV;
  }
}
