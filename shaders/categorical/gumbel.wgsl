// uses: order, status, bits, philox, random, draw
// Draws a class from softmax(logits) for each row: a workgroup to a row.
// 1: logits [rows, n], 2: key, 3: result [rows], 4: status. Element (row, j) takes word row·n + j of the random stream.
// A row with a logit that is NaN or infinite, or with nothing that may be drawn, gives 0 and sets the status.
const SIZE: u32 = 256u;

struct Params { rows: u32, n: u32, stream: u32, statusCode: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> key: vec4<u32>;
@group(0) @binding(3) var<storage, read_write> result: array<i32>;
@group(0) @binding(4) var<storage, read_write> status: array<atomic<u32>>;

var<workgroup> best: array<Best, SIZE>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups);
  let end = select(0u, params.n, row < params.rows);

  var own = Best(0.0, NONE);
  for (var j = lane; j < end; j += SIZE) {
    let logit = logits[row * params.n + j];
    if (isBadLogit(logit)) { reportBadData(params.statusCode); }
    else if (logit > MASKED) {
      own = better(own, Best(logit + gumbel(randomWord(key, params.stream, row * params.n + j)), j));
    }
  }

  best[lane] = own;
  for (var half = SIZE / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (lane < half) { best[lane] = better(best[lane], best[lane + half]); }
  }
  if (lane == 0u && row < params.rows) {
    if (best[0].index == NONE) { reportBadData(params.statusCode); }
    result[row] = i32(select(best[0].index, 0u, best[0].index == NONE));
  }
}
