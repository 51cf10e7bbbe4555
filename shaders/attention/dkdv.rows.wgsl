// uses: attentionGradients, attentionStart(q k v dO dK dV), attentionWideProducts(k q v dO), attentionWideSums(q dO)
// Attention, backward, gradients of keys and values, without workgroup memory: dV = Pᵀ dO, dK = scale dSᵀ Q.
//
// The mirror of dq.rows.wgsl: a lane takes eight keys and walks over the query rows by sixteen. Grid: [tiles of 8 SIZE keys, H, B].
// Bindings as in dkdv.flash.wgsl.

@group(0) @binding(5) var<storage, read> statistics: array<vec2<f32>>;

const OWNS_QUERIES: bool = false;

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
  let dKBase = startDK(batch, head);
  let dVBase = startDV(batch, head);
  let key = (group.x * SIZE + lane) * 8u;
  let live = liveOf(key, 8u, params.S);
  let keysA = places(kBase, key, params.kRow, params.S);
  let keysB = places(kBase, key + 4u, params.kRow, params.S);
  let valuesA = places(vBase, key, params.vRow, params.S);
  let valuesB = places(vBase, key + 4u, params.vRow, params.S);
  let dKA = places(dKBase, key, params.dKRow, params.S);
  let dKB = places(dKBase, key + 4u, params.dKRow, params.S);
  let dVA = places(dVBase, key, params.dVRow, params.S);
  let dVB = places(dVBase, key + 4u, params.dVRow, params.S);
  let ones = vec4<f32>(1.0);
  let first = key / TEAM * TEAM;
  let seeing = Bounds(select(0u, min(first, params.L - 1u), DIAGONAL), params.L - 1u);
  let near = min(key, params.L - 1u);
  let tainted = DIAGONAL && anyOfTeam(isTaintedQ(qBase, near, params.L) | isTaintedDO(dOBase, near, params.L));

  // The first step sets what the others add to; keys that no query sees need it too, and find all of their queries hidden.
  let walk = queryWalk(batch, head, group.x * (8u * SIZE), 8u * SIZE);
  for (var row = walk.start; row < walk.end; row += 16u) {
    var queries = others(qBase, row, params.qRow, seeing, lane);
    var gradients = others(dOBase, row, params.dORow, seeing, lane);
    var p = productsKQ(keysA, keysB, queries); // products, then weights
    var d = productsVDO(valuesA, valuesB, gradients); // products, then dS
    for (var i = 0u; i < params.blocks; i++) {
      let four = row + 4u * i;
      let saved = statisticsBlock(batch, head, four);
      let a = weigh(scoresOf(p.a0, batch, head, four, key), saved.lse);
      let b = weigh(scoresOf(p.b0, batch, head, four, key + 4u), saved.lse);
      let factorsA = dropoutFactors(batch, head, four, key);
      let factorsB = dropoutFactors(batch, head, four, key + 4u);
      p = turned(p, times(a, factorsA), times(b, factorsB));
      d = turned(d, slopesOf(a, d.a0, factorsA, saved.delta, 1.0), slopesOf(b, d.b0, factorsB, saved.delta, 1.0));
    }
    let takes = tainted && row < first + TEAM;
    for (var column = select(0u, params.columns, takes); column < params.columns; column++) {
      let own = sumsQ(queries, column, d);
      storeSum(dKA, dKB, column, Sum(own.a * params.scale, own.b * params.scale, ones, ones, row == walk.first), live);
    }
    for (var column = select(0u, params.columns, takes); column < params.columns; column++) {
      let own = sumsDO(gradients, column, p);
      storeSum(dVA, dVB, column, Sum(own.a, own.b, ones, ones, row == walk.first), live);
    }
    if (DIAGONAL) {
      for (var i = select(params.blocks, 0u, takes); i < params.blocks; i++) {
        let isFirst = row == walk.first && i == 0u;
        for (var column = 0u; column < params.columns; column++) {
          let q = otherQ(queries.at0, column);
          storeSum(dKA, dKB, column, Sum(takenProduct(q, d.a0) * params.scale, takenProduct(q, d.b0) * params.scale, ones, ones, isFirst), live);
          let g = otherDO(gradients.at0, column);
          storeSum(dVA, dVB, column, Sum(takenProduct(g, p.a0), takenProduct(g, p.b0), ones, ones, isFirst), live);
        }
        p = turned(p, p.a0, p.b0);
        d = turned(d, d.a0, d.b0);
        queries = rotated(queries);
        gradients = rotated(gradients);
      }
    }
  }
}
