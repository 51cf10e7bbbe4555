// uses: order.wgsl, philox.wgsl, attention.wgsl, attentionRows.wgsl
// Attention, forward, without workgroup memory: softmax(scale Q Kᵀ + mask) V with a running maximum and sum (FlashAttention-2).
//
// A lane takes four query rows and walks over the keys by eight blocks of four, scored one after another (a 4×4 block: column
// = key, component = row). What it sums up lies in its own rows of the result: arrays in registers of the size of a head
// cost seconds of compilation on some adapters, and workgroup memory and barriers are slow on others.
// Grid: [tiles of 32 rows, H, B].
// Bindings as in forward.wgsl.

struct Params {
  H: u32, L: u32, S: u32,
  columns: u32, // vec4 columns of a head; a uniform, since compilers unroll loops of constant length
  scale: f32,
  qOffset: u32, qBatch: u32, qHead: u32, qRow: u32,
  kOffset: u32, kBatch: u32, kHead: u32, kRow: u32,
  vOffset: u32, vBatch: u32, vHead: u32, vRow: u32,
  OOffset: u32, OBatch: u32, OHead: u32, ORow: u32,
  maskOffset: u32, maskBatch: u32, maskHead: u32, maskRow: u32, maskKey: u32,
  dropout: f32, keepScale: f32, stream: u32,
}
@group(0) @binding(4) var<storage, read_write> result: array<Element>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let qBase = params.qOffset + batch * params.qBatch + head * params.qHead;
  let kBase = params.kOffset + batch * params.kBatch + head * params.kHead;
  let vBase = params.vOffset + batch * params.vBatch + head * params.vHead;
  let row = (group.x * SIZE + lane) * 4u;
  if (row >= params.L) { return; }
  let end = select(params.S, min(params.S, row + 4u), CAUSAL);

  let live = min(4u, params.L - row);
  let queries = places(qBase, row, params.qRow, params.L);
  let results = params.OOffset + batch * params.OBatch + head * params.OHead + (row + vec4<u32>(0u, 1u, 2u, 3u)) * params.ORow;

  var weights: array<mat4x4<f32>, BLOCKS>; // scores, then weights
  var peak = vec4<f32>(HIDDEN);
  var total = vec4<f32>();
  for (var first = 0u; first < end; first += 4u * BLOCKS) {
    let blocks = min(BLOCKS, (end - first + 3u) / 4u);
    let before = peak;
    for (var block = 0u; block < blocks; block++) {
      let key = first + 4u * block;
      let keys = places(kBase, key, params.kRow, params.S);
      var products = mat4x4<f32>();
      for (var column = 0u; column < params.columns; column++) {
        products += transpose(queryBlock(queries, column)) * keyBlock(keys, column);
      }
      let scores = mat4x4<f32>(
        finishScores(products[0], batch, head, row, key),
        finishScores(products[1], batch, head, row, key + 1u),
        finishScores(products[2], batch, head, row, key + 2u),
        finishScores(products[3], batch, head, row, key + 3u),
      );
      peak = max(peak, max(max(scores[0], scores[1]), max(scores[2], scores[3])));
      weights[block] = scores;
    }
    let shrink = exp(max(before - peak, vec4<f32>(-100.0)));
    total *= shrink;
    for (var block = 0u; block < blocks; block++) {
      let scores = weights[block];
      let p = mat4x4<f32>(weigh(scores[0], peak), weigh(scores[1], peak), weigh(scores[2], peak), weigh(scores[3], peak));
      let factors = dropoutFactors(batch, head, row, first + 4u * block);
      total += p[0] + p[1] + p[2] + p[3];
      weights[block] = transpose(mat4x4<f32>(p[0] * factors[0], p[1] * factors[1], p[2] * factors[2], p[3] * factors[3]));
    }
    for (var column = 0u; column < params.columns; column++) {
      var added = mat4x4<f32>();
      for (var block = 0u; block < blocks; block++) {
        added += valueBlock(places(vBase, first + 4u * block, params.vRow, params.S), column) * weights[block];
      }
      for (var r = 0u; r < live; r++) {
        let old = select(loadResult(results[r], column), vec4<f32>(), first == 0u);
        store(results[r], column, old * shrink[r] + added[r]);
      }
    }
  }

  let empty = total <= vec4<f32>();
  let inverse = select(1.0 / max(total, vec4<f32>(1e-30)), vec4<f32>(), empty);
  let logSum = select(peak + log(max(total, vec4<f32>(1e-30))), vec4<f32>(-HIDDEN), empty);
  for (var r = 0u; r < live; r++) {
    for (var column = 0u; column < params.columns; column++) {
      store(results[r], column, loadResult(results[r], column) * inverse[r]);
    }
    lse[(batch * params.H + head) * params.L + row + r] = logSum[r];
  }
}
