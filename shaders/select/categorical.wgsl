// uses: order.wgsl, philox.wgsl
// Draws a class from softmax(logits) for each row: the greatest logit + Gumbel noise wins, that is logit - log(e) with e
// drawn from the exponential distribution. A workgroup to a row; no sum of exponentials is needed.
// 1: logits [rows, n], 2: key, 3: result [rows]. Element (row, j) takes word row·n + j of the random stream. Logits at or
// below MASKED are never drawn; a row of nothing else gives 0.
const SIZE: u32 = 256u;
const MASKED: f32 = -1e30;
const NONE: u32 = 0xffffffffu;

struct Params { rows: u32, n: u32, stream: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> key: vec4<u32>;
@group(0) @binding(3) var<storage, read_write> result: array<i32>;

struct Best { score: f32, index: u32 }
var<workgroup> best: array<Best, SIZE>;

// Winners have small e, so small ones keep their precision: e = -log(1 - u), by its series near 0.
fn exponential(word: u32) -> f32 {
  let u = (f32(word) + 0.5) * 2.3283064365386963e-10;
  return select(-log(max(1.0 - u, 2.98e-8)), u + 0.5 * u * u, u < 1e-3);
}

fn better(a: Best, b: Best) -> Best {
  if (b.index == NONE || (a.index != NONE && (a.score > b.score || (a.score == b.score && a.index < b.index)))) { return a; }
  return b;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups);
  let end = select(0u, params.n, row < params.rows);

  var own = Best(0.0, NONE);
  for (var j = lane; j < end; j += SIZE) {
    let logit = logits[row * params.n + j];
    if (logit > MASKED) {
      let noise = -log(exponential(randomWord(key, params.stream, row * params.n + j)));
      own = better(own, Best(logit + noise, j));
    }
  }

  best[lane] = own;
  for (var half = SIZE / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { best[lane] = better(best[lane], best[lane + half]); }
  }
  if (lane == 0u && row < params.rows) { result[row] = i32(select(best[0].index, 0u, best[0].index == NONE)); }
}
