// uses: attentionGradients, attentionStart(q k v dO dQ), attentionRow(q dO), attentionOther(k v)
// Attention, backward, gradient of the queries, with little text: dq.rows.wgsl as forward.block.wgsl is to forward.rows.wgsl.
// Grid: [tiles of 4 SIZE rows, H, B]. Bindings as in dq.flash.wgsl.

@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let kBase = startK(batch, head);
  let vBase = startV(batch, head);
  let row = (group.x * SIZE + lane) * 4u;
  let live = liveOf(row, 4u, params.L);
  let queries = places(startQ(batch, head), row, params.qRow, params.L);
  let gradients = places(startDO(batch, head), row, params.dORow, params.L);
  let results = places(startDQ(batch, head), row, params.dQRow, params.L);
  let saved = savedRows(batch, head, row, true);
  let all = Bounds(0u, params.S - 1u);
  let walk = keyWalk(batch, head, group.x * (4u * SIZE), 4u * SIZE);

  for (var key = walk.start; key < walk.end; key += 4u) {
    let keys = otherPlaces(kBase, key, params.kRow, all, lane);
    let values = otherPlaces(vBase, key, params.vRow, all, lane);
    var p = mat4x4<f32>(); // Q Kᵀ, then weights
    var d = mat4x4<f32>(); // dO Vᵀ, then scale dS
    for (var column = 0u; column < params.columns; column++) {
      p += transpose(blockQ(queries, column)) * otherK(keys, column);
      d += transpose(blockDO(gradients, column)) * otherV(values, column);
    }
    p = weigh(scoresOf(p, batch, head, row, key), saved.lse);
    d = transpose(slopesOf(p, d, dropoutFactors(batch, head, row, key), saved.delta, params.scale));
    for (var column = 0u; column < params.columns; column++) {
      storeFour(results, column, weighted(otherK(keys, column), d), vec4<f32>(1.0), key == walk.first, live);
    }
  }
}
