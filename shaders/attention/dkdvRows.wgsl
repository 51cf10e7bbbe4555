// uses: order.wgsl, philox.wgsl, attention.wgsl, attentionRows.wgsl, attentionGradients.wgsl
// Attention, backward, gradients of keys and values, without workgroup memory: dV = Pᵀ dO, dK = scale dSᵀ Q.
//
// A lane takes four keys and walks over the query rows by eight blocks of four, scored one after another (a 4×4 block: column
// = key, component = row). What it sums up lies in its own rows of the result: arrays in registers of the size of a head
// cost seconds of compilation on some adapters, and workgroup memory and barriers are slow on others.
// Grid: [tiles of 32 keys, H, B].
// Bindings as in dkdv.wgsl.

struct Params {
  H: u32, L: u32, S: u32,
  columns: u32, // vec4 columns of a head; a uniform, since compilers unroll loops of constant length
  scale: f32,
  qOffset: u32, qBatch: u32, qHead: u32, qRow: u32,
  kOffset: u32, kBatch: u32, kHead: u32, kRow: u32,
  vOffset: u32, vBatch: u32, vHead: u32, vRow: u32,
  dOOffset: u32, dOBatch: u32, dOHead: u32, dORow: u32,
  dKOffset: u32, dKBatch: u32, dKHead: u32, dKRow: u32,
  dVOffset: u32, dVBatch: u32, dVHead: u32, dVRow: u32,
  maskOffset: u32, maskBatch: u32, maskHead: u32, maskRow: u32, maskKey: u32,
  dropout: f32, keepScale: f32, stream: u32,
}

fn gradientBlock(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadDO(at.x, column), loadDO(at.y, column), loadDO(at.z, column), loadDO(at.w, column));
}
fn times(a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> { return mat4x4<f32>(a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]); }

@group(0) @binding(5) var<storage, read> statistics: array<vec2<f32>>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let qBase = params.qOffset + batch * params.qBatch + head * params.qHead;
  let kBase = params.kOffset + batch * params.kBatch + head * params.kHead;
  let vBase = params.vOffset + batch * params.vBatch + head * params.vHead;
  let dOBase = params.dOOffset + batch * params.dOBatch + head * params.dOHead;
  let key = (group.x * SIZE + lane) * 4u;
  if (key >= params.S) { return; }

  let live = min(4u, params.S - key);
  let keys = places(kBase, key, params.kRow, params.S);
  let values = places(vBase, key, params.vRow, params.S);
  let ownKeys = key + vec4<u32>(0u, 1u, 2u, 3u);
  let resultsK = params.dKOffset + batch * params.dKBatch + head * params.dKHead + ownKeys * params.dKRow;
  let resultsV = params.dVOffset + batch * params.dVBatch + head * params.dVHead + ownKeys * params.dVRow;
  let start = select(0u, key, CAUSAL);
  // Keys that no query sees have gradients of zero; elsewhere the first step sets what the others add to.
  if (start >= params.L) {
    for (var r = 0u; r < live; r++) {
      for (var column = 0u; column < params.columns; column++) {
        store(resultsK[r], column, vec4<f32>());
        store(resultsV[r], column, vec4<f32>());
      }
    }
  }

  var dS: array<mat4x4<f32>, BLOCKS>; // of keys (columns) and queries (components)
  var kept: array<mat4x4<f32>, BLOCKS>; // weights after dropout
  for (var first = start; first < params.L; first += 4u * BLOCKS) {
    let blocks = min(BLOCKS, (params.L - first + 3u) / 4u);
    for (var block = 0u; block < blocks; block++) {
      let row = first + 4u * block;
      let queries = places(qBase, row, params.qRow, params.L);
      let gradients = places(dOBase, row, params.dORow, params.L);
      var products = mat4x4<f32>(); // Q Kᵀ
      var slopes = mat4x4<f32>(); // dO Vᵀ
      for (var column = 0u; column < params.columns; column++) {
        products += transpose(queryBlock(queries, column)) * keyBlock(keys, column);
        slopes += transpose(gradientBlock(gradients, column)) * valueBlock(values, column);
      }
      let saved = statisticsBlock(batch, head, row);
      let delta = mat4x4<f32>(saved.delta, saved.delta, saved.delta, saved.delta);
      let p = mat4x4<f32>(
        weigh(finishScores(products[0], batch, head, row, key), saved.lse),
        weigh(finishScores(products[1], batch, head, row, key + 1u), saved.lse),
        weigh(finishScores(products[2], batch, head, row, key + 2u), saved.lse),
        weigh(finishScores(products[3], batch, head, row, key + 3u), saved.lse),
      );
      let factors = dropoutFactors(batch, head, row, key);
      dS[block] = times(p, times(slopes, factors) - delta) * params.scale;
      kept[block] = times(p, factors);
    }
    for (var column = 0u; column < params.columns; column++) {
      var dK = mat4x4<f32>(); // columns = keys
      var dV = mat4x4<f32>();
      for (var block = 0u; block < blocks; block++) {
        let row = first + 4u * block;
        dK += queryBlock(places(qBase, row, params.qRow, params.L), column) * dS[block];
        dV += gradientBlock(places(dOBase, row, params.dORow, params.L), column) * kept[block];
      }
      for (var r = 0u; r < live; r++) {
        let initial = first == start;
        store(resultsK[r], column, select(loadResult(resultsK[r], column), vec4<f32>(), initial) + dK[r]);
        store(resultsV[r], column, select(loadResult(resultsV[r], column), vec4<f32>(), initial) + dV[r]);
      }
    }
  }
}
