// uses: order.wgsl, philox.wgsl, attention.wgsl, attentionRows.wgsl, attentionGradients.wgsl
// Attention, backward, gradient of the queries, without workgroup memory: dQ = scale Σ_keys dS K with dS = P ∘ (dropout(dO Vᵀ) - δ).
//
// A lane takes four query rows and walks over the keys by eight blocks of four, scored one after another (a 4×4 block: column
// = key, component = row). What it sums up lies in its own rows of the result: arrays in registers of the size of a head
// cost seconds of compilation on some adapters, and workgroup memory and barriers are slow on others.
// Grid: [tiles of 32 rows, H, B].
// Bindings as in dq.wgsl.

struct Params {
  H: u32, L: u32, S: u32,
  columns: u32, // vec4 columns of a head; a uniform, since compilers unroll loops of constant length
  scale: f32,
  qOffset: u32, qBatch: u32, qHead: u32, qRow: u32,
  kOffset: u32, kBatch: u32, kHead: u32, kRow: u32,
  vOffset: u32, vBatch: u32, vHead: u32, vRow: u32,
  dOOffset: u32, dOBatch: u32, dOHead: u32, dORow: u32,
  OOffset: u32, OBatch: u32, OHead: u32, ORow: u32,
  dQOffset: u32, dQBatch: u32, dQHead: u32, dQRow: u32,
  maskOffset: u32, maskBatch: u32, maskHead: u32, maskRow: u32, maskKey: u32,
  dropout: f32, keepScale: f32, stream: u32,
}

fn gradientBlock(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadDO(at.x, column), loadDO(at.y, column), loadDO(at.z, column), loadDO(at.w, column));
}
fn times(a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> { return mat4x4<f32>(a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]); }

@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

// Hook: (lse, δ) of four rows; where δ is computed here, it is left for dkdv.wgsl.
fn savedRows(batch: u32, head: u32, row: u32, leave: bool) -> Saved { return statisticsBlock(batch, head, row); }

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
  let row = (group.x * SIZE + lane) * 4u;
  if (row >= params.L) { return; }
  let end = select(params.S, min(params.S, row + 4u), CAUSAL);
  let live = min(4u, params.L - row);
  let queries = places(qBase, row, params.qRow, params.L);
  let gradients = places(dOBase, row, params.dORow, params.L);
  let results = params.dQOffset + batch * params.dQBatch + head * params.dQHead + (row + vec4<u32>(0u, 1u, 2u, 3u)) * params.dQRow;
  let saved = savedRows(batch, head, row, true);
  let delta = mat4x4<f32>(saved.delta, saved.delta, saved.delta, saved.delta);

  var dS: array<mat4x4<f32>, BLOCKS>; // of queries (columns) and keys (components)
  for (var first = 0u; first < end; first += 4u * BLOCKS) {
    let blocks = min(BLOCKS, (end - first + 3u) / 4u);
    for (var block = 0u; block < blocks; block++) {
      let key = first + 4u * block;
      let keys = places(kBase, key, params.kRow, params.S);
      let values = places(vBase, key, params.vRow, params.S);
      var products = mat4x4<f32>(); // Q Kᵀ
      var slopes = mat4x4<f32>(); // dO Vᵀ
      for (var column = 0u; column < params.columns; column++) {
        products += transpose(queryBlock(queries, column)) * keyBlock(keys, column);
        slopes += transpose(gradientBlock(gradients, column)) * valueBlock(values, column);
      }
      let p = mat4x4<f32>(
        weigh(finishScores(products[0], batch, head, row, key), saved.lse),
        weigh(finishScores(products[1], batch, head, row, key + 1u), saved.lse),
        weigh(finishScores(products[2], batch, head, row, key + 2u), saved.lse),
        weigh(finishScores(products[3], batch, head, row, key + 3u), saved.lse),
      );
      let factors = dropoutFactors(batch, head, row, key);
      dS[block] = transpose(times(p, times(slopes, factors) - delta)) * params.scale;
    }
    for (var column = 0u; column < params.columns; column++) {
      var added = mat4x4<f32>();
      for (var block = 0u; block < blocks; block++) {
        added += keyBlock(places(kBase, first + 4u * block, params.kRow, params.S), column) * dS[block];
      }
      for (var r = 0u; r < live; r++) {
        let old = select(loadResult(results[r], column), vec4<f32>(), first == 0u);
        store(results[r], column, old + added[r]);
      }
    }
  }
}
