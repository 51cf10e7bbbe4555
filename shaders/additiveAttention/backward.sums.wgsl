// uses: order, math
// Gradient of additive attention, second part: of keys, values and v, from what the first part found. An invocation makes an
// element of the keys' gradient, v_a Σ_q de_qs (1 − tanh²(q_qa + k_sa)), or of that of the values, Σ_q w_qs dcontext_qd, or gives
// one of the queries' its factor v. In the last workgroups SLICES lanes share a column of the parts that rows have in the
// gradient of v, and SIZE / SLICES columns a workgroup; with SLICES = 1 nothing is shared.
// 1: gradients: of the queries [rows, A] in front, and of keys, values and v where params say, 2: found, de [rows, S] and the
// parts [rows, A], 3: queries [rows, A], 4: keys [B, S, A], 5: v [A], 6: weights [rows, S], 7: dcontext [rows, D].
const SIZE: u32 = 64u;
const SLICES: u32 = 8u;

// Elements of keys and values, and the workgroups that have these and the queries.
struct Params {
  rows: u32, Q: u32, S: u32, A: u32, D: u32, keys: u32, values: u32, groups: u32,
  keysAt: u32, valuesAt: u32, vectorAt: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> gradients: array<f32>;
@group(0) @binding(2) var<storage, read> found: array<f32>;
@group(0) @binding(3) var<storage, read> queries: array<f32>;
@group(0) @binding(4) var<storage, read> keys: array<f32>;
@group(0) @binding(5) var<storage, read> vector: array<f32>;
@group(0) @binding(6) var<storage, read> weights: array<f32>;
@group(0) @binding(7) var<storage, read> dContext: array<f32>;

var<workgroup> slices: array<f32, SIZE>;

fn ofKey(i: u32) -> f32 {
  let a = i % params.A;
  let s = i / params.A % params.S;
  let first = i / params.A / params.S * params.Q;
  var sum = 0.0;
  for (var row = first; row < first + params.Q; row++) {
    let de = found[row * params.S + s];
    if (de == 0.0) { continue; }
    let t = safeTanh(queries[row * params.A + a] + keys[i]);
    sum += vector[a] * de * (1.0 - t * t);
  }
  return sum;
}

fn ofValue(i: u32) -> f32 {
  let d = i % params.D;
  let s = i / params.D % params.S;
  let first = i / params.D / params.S * params.Q;
  var sum = 0.0;
  for (var row = first; row < first + params.Q; row++) {
    let weight = weights[row * params.S + s];
    if (weight == 0.0) { continue; }
    sum += weight * dContext[row * params.D + d];
  }
  return sum;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups);
  let isColumn = group >= params.groups;
  let columns = SIZE / SLICES;
  let column = (group - params.groups) * columns + lane % columns;

  var own = 0.0;
  if (isColumn) {
    if (column < params.A) {
      let parts = params.rows * params.S + column;
      for (var row = lane / columns; row < params.rows; row += SLICES) { own += found[parts + row * params.A]; }
    }
  } else {
    let i = group * SIZE + lane;
    let value = i - params.keys;
    let query = value - params.values;
    if (i < params.keys) {
      gradients[params.keysAt + i] = ofKey(i);
    } else if (value < params.values) {
      gradients[params.valuesAt + value] = ofValue(value);
    } else if (query < params.rows * params.A) {
      gradients[query] *= vector[query % params.A];
    }
  }

  if (SLICES > 1u) {
    slices[lane] = own;
    workgroupBarrier();
    if (lane < columns) {
      for (var k = 1u; k < SLICES; k++) { own += slices[lane + k * columns]; }
    }
  }
  if (isColumn && lane < columns && column < params.A) { gradients[params.vectorAt + column] = own; }
}
