// uses: attentionGradients, attentionStart(q k v dO dQ), attentionWideProducts(q k dO v), attentionWideSums(k)
// Attention, backward, gradient of the queries, without workgroup memory:
// dQ = scale Σ_keys dS K with dS = P ∘ (dropout(dO Vᵀ) - δ).
//
// As forward.rows.wgsl: a lane takes eight query rows and walks over the keys by sixteen. Grid: [tiles of 8 SIZE rows, H, B].
// Bindings as in dq.flash.wgsl.

@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

const OWNS_QUERIES: bool = true;

// scale dS of four queries (columns) and four keys (components).
fn slopes(products: mat4x4<f32>, gradients: mat4x4<f32>, saved: Saved, batch: u32, head: u32, row: u32, key: u32) -> mat4x4<f32> {
  let p = weigh(scoresOf(products, batch, head, row, key), saved.lse);
  return transpose(slopesOf(p, gradients, dropoutFactors(batch, head, row, key), saved.delta, params.scale));
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let qBase = startQ(batch, head);
  let kBase = startK(batch, head);
  let vBase = startV(batch, head);
  let dOBase = startDO(batch, head);
  let dQBase = startDQ(batch, head);
  let row = (group.x * SIZE + lane) * 8u;
  let live = liveOf(row, 8u, params.L);
  let queriesA = places(qBase, row, params.qRow, params.L);
  let queriesB = places(qBase, row + 4u, params.qRow, params.L);
  let gradientsA = places(dOBase, row, params.dORow, params.L);
  let gradientsB = places(dOBase, row + 4u, params.dORow, params.L);
  let resultsA = places(dQBase, row, params.dQRow, params.L);
  let resultsB = places(dQBase, row + 4u, params.dQRow, params.L);
  var savedA: Saved;
  var savedB: Saved;
  for (var i = 0u; i < params.blocks / 2u; i++) {
    savedA = savedB;
    savedB = savedRows(batch, head, row + 4u * i, true);
  }
  let ones = vec4<f32>(1.0);
  let first = row / TEAM * TEAM;
  let all = Bounds(0u, params.S - 1u);
  let seen = Bounds(0u, select(params.S, min(params.S, first + TEAM), DIAGONAL) - 1u);
  let tainted = DIAGONAL && anyOfTeam(isTaintedK(kBase, row, params.S));
  let walk = keyWalk(batch, head, group.x * (8u * SIZE), 8u * SIZE);

  for (var key = walk.start; key < walk.end; key += 16u) {
    var keys = others(kBase, key, params.kRow, seen, lane);
    var s = productsQK(queriesA, queriesB, keys);
    var d = productsDOV(gradientsA, gradientsB, others(vBase, key, params.vRow, all, lane));
    for (var i = 0u; i < params.blocks; i++) {
      let a = slopes(s.a0, d.a0, savedA, batch, head, row, key + 4u * i);
      let b = slopes(s.b0, d.b0, savedB, batch, head, row + 4u, key + 4u * i);
      s = turned(s, a, b);
      d = turned(d, a, b);
    }
    let takes = tainted && key + 15u > first;
    for (var column = select(0u, params.columns, takes); column < params.columns; column++) {
      let own = sumsK(keys, column, s);
      storeSum(resultsA, resultsB, column, Sum(own.a, own.b, ones, ones, key == walk.first), live);
    }
    if (DIAGONAL) {
      for (var i = select(params.blocks, 0u, takes); i < params.blocks; i++) {
        for (var column = 0u; column < params.columns; column++) {
          let k = otherK(keys.at0, column);
          let sum = Sum(takenProduct(k, s.a0), takenProduct(k, s.b0), ones, ones, key == walk.first && i == 0u);
          storeSum(resultsA, resultsB, column, sum, live);
        }
        s = turned(s, s.a0, s.b0);
        keys = rotated(keys);
      }
    }
  }
}
