// uses: order.wgsl, philox.wgsl, attention.wgsl, attentionRows.wgsl, attentionWide.wgsl, attentionGradients.wgsl
// Attention, backward, gradients of keys and values, without workgroup memory: dV = Pᵀ dO, dK = scale dSᵀ Q.
//
// The mirror of dqRows.wgsl: a lane takes eight keys and walks over the query rows by sixteen. Grid: [tiles of 8 SIZE keys, H, B].
// Bindings as in dkdv.wgsl.

@group(0) @binding(5) var<storage, read> statistics: array<vec2<f32>>;

// Q Kᵀ of sixteen queries and eight keys.
fn queryKeys(queries: Others, keysA: vec4<u32>, keysB: vec4<u32>) -> Blocks {
  var s: Blocks;
  for (var column = 0u; column < params.columns; column++) {
    let a = blockK(keysA, column);
    let b = blockK(keysB, column);
    let q0 = transpose(otherQ(queries.at0, column));
    s.a0 += q0 * a;
    s.b0 += q0 * b;
    let q1 = transpose(otherQ(queries.at1, column));
    s.a1 += q1 * a;
    s.b1 += q1 * b;
    let q2 = transpose(otherQ(queries.at2, column));
    s.a2 += q2 * a;
    s.b2 += q2 * b;
    let q3 = transpose(otherQ(queries.at3, column));
    s.a3 += q3 * a;
    s.b3 += q3 * b;
  }
  return s;
}
// dO Vᵀ of sixteen queries and eight keys.
fn gradientValues(gradients: Others, valuesA: vec4<u32>, valuesB: vec4<u32>) -> Blocks {
  var s: Blocks;
  for (var column = 0u; column < params.columns; column++) {
    let a = blockV(valuesA, column);
    let b = blockV(valuesB, column);
    let g0 = transpose(otherDO(gradients.at0, column));
    s.a0 += g0 * a;
    s.b0 += g0 * b;
    let g1 = transpose(otherDO(gradients.at1, column));
    s.a1 += g1 * a;
    s.b1 += g1 * b;
    let g2 = transpose(otherDO(gradients.at2, column));
    s.a2 += g2 * a;
    s.b2 += g2 * b;
    let g3 = transpose(otherDO(gradients.at3, column));
    s.a3 += g3 * a;
    s.b3 += g3 * b;
  }
  return s;
}

// Whether one of the queries from this row on, as many as a lane has keys, or its gradient is not finite.
fn isTainted(qBase: u32, dOBase: u32, row: u32) -> bool {
  var bits = vec4<u32>();
  for (var r = min(row, params.L - 1u); r < min(row + 8u, params.L); r++) {
    for (var column = 0u; column < params.columns; column++) {
      bits = max(bits, magnitudes(loadQ(qBase + r * params.qRow, column)));
      bits = max(bits, magnitudes(loadDO(dOBase + r * params.dORow, column)));
    }
  }
  return any(bits >= INFINITE);
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
  let tainted = DIAGONAL && anyOfTeam(isTainted(qBase, dOBase, key));

  // The first step sets what the others add to; keys that no query sees need it too, and find all of their queries hidden.
  let start = select(0u, min(group.x * SIZE * 8u, params.L - 1u), CAUSAL);
  for (var row = walkFrom(start); row < walkTo(params.L); row += 16u) {
    var queries = others(qBase, row, params.qRow, seeing, lane);
    var gradients = others(dOBase, row, params.dORow, seeing, lane);
    var p = queryKeys(queries, keysA, keysB); // products, then weights
    var d = gradientValues(gradients, valuesA, valuesB); // products, then dS
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
      let q0 = otherQ(queries.at0, column);
      var a = weighted(q0, d.a0);
      var b = weighted(q0, d.b0);
      let q1 = otherQ(queries.at1, column);
      a += weighted(q1, d.a1);
      b += weighted(q1, d.b1);
      let q2 = otherQ(queries.at2, column);
      a += weighted(q2, d.a2);
      b += weighted(q2, d.b2);
      let q3 = otherQ(queries.at3, column);
      a += weighted(q3, d.a3);
      b += weighted(q3, d.b3);
      storeSum(dKA, dKB, column, Sum(a * params.scale, b * params.scale, ones, ones, row == start), live);
    }
    for (var column = select(0u, params.columns, takes); column < params.columns; column++) {
      let g0 = otherDO(gradients.at0, column);
      var a = weighted(g0, p.a0);
      var b = weighted(g0, p.b0);
      let g1 = otherDO(gradients.at1, column);
      a += weighted(g1, p.a1);
      b += weighted(g1, p.b1);
      let g2 = otherDO(gradients.at2, column);
      a += weighted(g2, p.a2);
      b += weighted(g2, p.b2);
      let g3 = otherDO(gradients.at3, column);
      a += weighted(g3, p.a3);
      b += weighted(g3, p.b3);
      storeSum(dVA, dVB, column, Sum(a, b, ones, ones, row == start), live);
    }
    if (DIAGONAL) {
      for (var i = select(params.blocks, 0u, takes); i < params.blocks; i++) {
        let isFirst = row == start && i == 0u;
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
