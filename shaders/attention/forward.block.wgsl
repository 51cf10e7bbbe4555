// uses: attentionForward, attentionStart(q k v O), attentionRow(q), attentionOther(k v)
// Attention, forward, as in forward.rows.wgsl but with so little text that it compiles in a fraction of the time: for small problems,
// whose first step is what one waits for. A lane takes four query rows and walks over the keys by four.
// Grid: [tiles of 4 SIZE rows, H, B]. Bindings as in forward.flash.wgsl.

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
  let results = places(startO(batch, head), row, params.ORow, params.L);
  let walk = keyWalk(batch, head, group.x * (4u * SIZE), 4u * SIZE);
  let all = Bounds(0u, params.S - 1u);
  let statistic = (batch * params.H + head) * params.L + row;

  let running = runningOf(statistic, live);
  var peak = running.peak;
  var total = running.total;
  for (var key = walk.start; key < walk.end; key += 4u) {
    let keys = otherPlaces(kBase, key, params.kRow, all, lane);
    var s = mat4x4<f32>(); // products, then scores, then weights
    for (var column = 0u; column < params.columns; column++) { s += transpose(blockQ(queries, column)) * otherK(keys, column); }
    s = scoresOf(s, batch, head, row, key);
    let before = peak;
    peak = max(peak, largest(s));
    let shrink = decay(before - peak);
    s = weigh(s, peak);
    total = total * shrink + sum(s);
    s = transpose(times(s, dropoutFactors(batch, head, row, key)));
    // With the last keys, rows are divided by the sum of all weights.
    let factor = select(vec4<f32>(1.0), inverseOf(total), vec4<bool>(key + 4u >= walk.end));
    let values = otherPlaces(vBase, key, params.vRow, all, lane);
    for (var column = 0u; column < params.columns; column++) {
      storeFour(results, column, scaled(weighted(otherV(values, column), s), factor), shrink * factor, key == walk.first, live);
    }
  }

  let logSum = logSumOf(peak, total);
  for (var r = 0u; r < live; r++) { lse[statistic + r] = logSum[r]; }
}
