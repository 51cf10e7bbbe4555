// uses: attentionGradients, attentionStart(q k v dO dK dV), attentionRow(k v), attentionOther(q dO)
// Attention, backward, gradients of keys and values, with little text: the mirror of dq.block.wgsl. A lane takes four keys
// and walks over the query rows by four. Grid: [tiles of 4 SIZE keys, H, B]. Bindings as in dkdv.flash.wgsl.

@group(0) @binding(5) var<storage, read> statistics: array<vec2<f32>>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let qBase = startQ(batch, head);
  let dOBase = startDO(batch, head);
  let key = (group.x * SIZE + lane) * 4u;
  let live = liveOf(key, 4u, params.S);
  let keys = places(startK(batch, head), key, params.kRow, params.S);
  let values = places(startV(batch, head), key, params.vRow, params.S);
  let dKeys = places(startDK(batch, head), key, params.dKRow, params.S);
  let dValues = places(startDV(batch, head), key, params.dVRow, params.S);

  let all = Bounds(0u, params.L - 1u);
  // The first step sets what the others add to; keys that no query sees need it too, and find all of their queries hidden.
  let walk = queryWalk(batch, head, group.x * (4u * SIZE), 4u * SIZE);
  for (var row = walk.start; row < walk.end; row += 4u) {
    let queries = otherPlaces(qBase, row, params.qRow, all, lane);
    let gradients = otherPlaces(dOBase, row, params.dORow, all, lane);
    var p = mat4x4<f32>(); // Q Kᵀ, then weights
    var d = mat4x4<f32>(); // dO Vᵀ, then dS
    for (var column = 0u; column < params.columns; column++) {
      p += transpose(otherQ(queries, column)) * blockK(keys, column);
      d += transpose(otherDO(gradients, column)) * blockV(values, column);
    }
    let saved = statisticsBlock(batch, head, row);
    let factors = dropoutFactors(batch, head, row, key);
    p = weigh(scoresOf(p, batch, head, row, key), saved.lse);
    d = slopesOf(p, d, factors, saved.delta, params.scale);
    p = times(p, factors);
    for (var column = 0u; column < params.columns; column++) {
      // A loop, so that storing is compiled once.
      var at = dKeys;
      var sum = weighted(otherQ(queries, column), d);
      let ofValues = weighted(otherDO(gradients, column), p);
      for (var i = 0u; i < 2u; i++) {
        storeFour(at, column, sum, vec4<f32>(1.0), row == walk.first, live);
        at = dValues;
        sum = ofValues;
      }
    }
  }
}
