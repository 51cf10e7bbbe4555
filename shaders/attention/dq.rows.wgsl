// uses: order.wgsl, philox.wgsl, attention.wgsl, attentionRows.wgsl, attentionWide.wgsl, attentionQueries.wgsl, attentionGradients.wgsl
// Attention, backward, gradient of the queries, without workgroup memory: dQ = scale Σ_keys dS K with dS = P ∘ (dropout(dO Vᵀ) - δ).
//
// As forwardRows.wgsl: a lane takes eight query rows and walks over the keys by sixteen. Grid: [tiles of 8 SIZE rows, H, B].
// Bindings as in dq.wgsl.

@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

// dO Vᵀ of eight queries and sixteen keys.
fn gradientValues(gradientsA: vec4<u32>, gradientsB: vec4<u32>, values: Others) -> Blocks {
  var s: Blocks;
  for (var column = 0u; column < params.columns; column++) {
    let a = transpose(blockDO(gradientsA, column));
    let b = transpose(blockDO(gradientsB, column));
    let v0 = otherV(values.at0, column);
    s.a0 += a * v0;
    s.b0 += b * v0;
    let v1 = otherV(values.at1, column);
    s.a1 += a * v1;
    s.b1 += b * v1;
    let v2 = otherV(values.at2, column);
    s.a2 += a * v2;
    s.b2 += b * v2;
    let v3 = otherV(values.at3, column);
    s.a3 += a * v3;
    s.b3 += b * v3;
  }
  return s;
}
// scale dS of four queries (columns) and four keys (components).
fn slopes(products: mat4x4<f32>, gradients: mat4x4<f32>, saved: Saved, batch: u32, head: u32, row: u32, key: u32) -> mat4x4<f32> {
  let p = weigh(scoresOf(products, batch, head, row, key), saved.lse);
  return transpose(slopesOf(p, gradients, dropoutFactors(batch, head, row, key), saved.delta, params.scale));
}

// Whether one of the keys from this row on, as many as a lane has queries, is not finite.
fn isTainted(base: u32, row: u32) -> bool {
  var bits = vec4<u32>();
  for (var r = row; r < min(row + 8u, params.S); r++) {
    for (var column = 0u; column < params.columns; column++) { bits = max(bits, magnitudes(loadK(base + r * params.kRow, column))); }
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
  let tainted = DIAGONAL && anyOfTeam(isTainted(kBase, row));
  let end = walkTo(select(params.S, min(params.S, (group.x + 1u) * SIZE * 8u), CAUSAL));

  for (var key = walkFrom(0u); key < end; key += 16u) {
    var keys = others(kBase, key, params.kRow, seen, lane);
    var s = queryKeys(queriesA, queriesB, keys);
    var d = gradientValues(gradientsA, gradientsB, others(vBase, key, params.vRow, all, lane));
    for (var i = 0u; i < params.blocks; i++) {
      let a = slopes(s.a0, d.a0, savedA, batch, head, row, key + 4u * i);
      let b = slopes(s.b0, d.b0, savedB, batch, head, row + 4u, key + 4u * i);
      s = turned(s, a, b);
      d = turned(d, a, b);
    }
    let takes = tainted && key + 15u > first;
    for (var column = select(0u, params.columns, takes); column < params.columns; column++) {
      let k0 = otherK(keys.at0, column);
      var a = weighted(k0, s.a0);
      var b = weighted(k0, s.b0);
      let k1 = otherK(keys.at1, column);
      a += weighted(k1, s.a1);
      b += weighted(k1, s.b1);
      let k2 = otherK(keys.at2, column);
      a += weighted(k2, s.a2);
      b += weighted(k2, s.b2);
      let k3 = otherK(keys.at3, column);
      a += weighted(k3, s.a3);
      b += weighted(k3, s.b3);
      storeSum(resultsA, resultsB, column, Sum(a, b, ones, ones, key == 0u), live);
    }
    if (DIAGONAL) {
      for (var i = select(params.blocks, 0u, takes); i < params.blocks; i++) {
        for (var column = 0u; column < params.columns; column++) {
          let k = otherK(keys.at0, column);
          let sum = Sum(takenProduct(k, s.a0), takenProduct(k, s.b0), ones, ones, key == 0u && i == 0u);
          storeSum(resultsA, resultsB, column, sum, live);
        }
        s = turned(s, s.a0, s.b0);
        keys = rotated(keys);
      }
    }
  }
}
