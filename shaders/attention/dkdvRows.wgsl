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

  // The first step sets what the others add to; keys that no query sees need it too, and find all of their queries hidden.
  let start = select(0u, min(group.x * SIZE * 8u, params.L - 1u), CAUSAL);
  for (var row = walkFrom(start); row < walkTo(params.L); row += 16u) {
    let queries = others(qBase, row, params.qRow, params.L, lane);
    let gradients = others(dOBase, row, params.dORow, params.L, lane);
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
      d = turned(d, slopesOf(a, d.a0, factorsA, saved.delta), slopesOf(b, d.b0, factorsB, saved.delta));
    }
    for (var column = 0u; column < params.columns; column++) {
      let q0 = otherQ(queries.at0, column);
      var a = q0 * d.a0;
      var b = q0 * d.b0;
      let q1 = otherQ(queries.at1, column);
      a += q1 * d.a1;
      b += q1 * d.b1;
      let q2 = otherQ(queries.at2, column);
      a += q2 * d.a2;
      b += q2 * d.b2;
      let q3 = otherQ(queries.at3, column);
      a += q3 * d.a3;
      b += q3 * d.b3;
      storeSum(dKA, dKB, column, Sum(a * params.scale, b * params.scale, ones, ones, row == start), live);
    }
    for (var column = 0u; column < params.columns; column++) {
      let g0 = otherDO(gradients.at0, column);
      var a = g0 * p.a0;
      var b = g0 * p.b0;
      let g1 = otherDO(gradients.at1, column);
      a += g1 * p.a1;
      b += g1 * p.b1;
      let g2 = otherDO(gradients.at2, column);
      a += g2 * p.a2;
      b += g2 * p.b2;
      let g3 = otherDO(gradients.at3, column);
      a += g3 * p.a3;
      b += g3 * p.b3;
      storeSum(dVA, dVB, column, Sum(a, b, ones, ones, row == start), live);
    }
  }
}
