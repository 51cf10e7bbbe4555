// uses: attentionForward, attentionStart(q k v O), attentionWideProducts(q k), attentionWideSums(v)
// Attention, forward, without workgroup memory: softmax(scale Q Kᵀ + mask) V with a running maximum and sum (FlashAttention-2).
//
// A lane takes eight query rows and walks over the keys by sixteen, whose scores all lie in registers. O is summed up in the
// rows of the result: arrays in registers of the size of a head cost seconds of compilation on some adapters, and workgroup
// memory and barriers are slow on others. Grid: [tiles of 8 SIZE rows, H, B]. Bindings as in forward.flash.wgsl.

const OWNS_QUERIES: bool = true;

// Weights after dropout: column = query, component = key.
fn afterDropout(weights: mat4x4<f32>, batch: u32, head: u32, row: u32, key: u32) -> mat4x4<f32> {
  return transpose(times(weights, dropoutFactors(batch, head, row, key)));
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
  let OBase = startO(batch, head);
  let row = (group.x * SIZE + lane) * 8u;
  let live = liveOf(row, 8u, params.L);
  let queriesA = places(qBase, row, params.qRow, params.L);
  let queriesB = places(qBase, row + 4u, params.qRow, params.L);
  let resultsA = places(OBase, row, params.ORow, params.L);
  let resultsB = places(OBase, row + 4u, params.ORow, params.L);
  let walk = keyWalk(batch, head, group.x * (8u * SIZE), 8u * SIZE);
  let first = row / TEAM * TEAM;
  let all = Bounds(0u, params.S - 1u);
  let seen = Bounds(0u, select(params.S, min(params.S, first + TEAM), DIAGONAL) - 1u);
  let tainted = DIAGONAL && anyOfTeam(isTaintedV(vBase, row, params.S));
  let statistic = (batch * params.H + head) * params.L + row;

  let runningA = runningOf(statistic, live);
  let runningB = runningOf(statistic + 4u, max(live, 4u) - 4u);
  var peakA = runningA.peak;
  var peakB = runningB.peak;
  var totalA = runningA.total;
  var totalB = runningB.total;
  for (var key = walk.start; key < walk.end; key += 16u) {
    // Products, then scores, then weights.
    var s = productsQK(queriesA, queriesB, others(kBase, key, params.kRow, all, lane));
    let beforeA = peakA;
    let beforeB = peakB;
    for (var i = 0u; i < params.blocks; i++) {
      let a = scoresOf(s.a0, batch, head, row, key + 4u * i);
      let b = scoresOf(s.b0, batch, head, row + 4u, key + 4u * i);
      peakA = max(peakA, largest(a));
      peakB = max(peakB, largest(b));
      s = turned(s, a, b);
    }
    let shrinkA = decay(beforeA - peakA);
    let shrinkB = decay(beforeB - peakB);
    totalA *= shrinkA;
    totalB *= shrinkB;
    for (var i = 0u; i < params.blocks; i++) {
      let a = weigh(s.a0, peakA);
      let b = weigh(s.b0, peakB);
      totalA += sum(a);
      totalB += sum(b);
      s = turned(s, afterDropout(a, batch, head, row, key + 4u * i), afterDropout(b, batch, head, row + 4u, key + 4u * i));
    }
    // With the last keys, rows are divided by the sum of all weights.
    let isLast = vec4<bool>(key + 16u >= walk.end);
    let factorA = select(vec4<f32>(1.0), inverseOf(totalA), isLast);
    let factorB = select(vec4<f32>(1.0), inverseOf(totalB), isLast);
    var values = others(vBase, key, params.vRow, seen, lane);
    let takes = tainted && key + 15u > first;
    for (var column = select(0u, params.columns, takes); column < params.columns; column++) {
      let own = sumsV(values, column, s);
      let sum = Sum(scaled(own.a, factorA), scaled(own.b, factorB), shrinkA * factorA, shrinkB * factorB, key == walk.first);
      storeSum(resultsA, resultsB, column, sum, live);
    }
    if (DIAGONAL) {
      for (var i = select(params.blocks, 0u, takes); i < params.blocks; i++) {
        let keepA = select(vec4<f32>(1.0), shrinkA * factorA, i == 0u);
        let keepB = select(vec4<f32>(1.0), shrinkB * factorB, i == 0u);
        for (var column = 0u; column < params.columns; column++) {
          let v = otherV(values.at0, column);
          let sum = Sum(scaled(takenProduct(v, s.a0), factorA), scaled(takenProduct(v, s.b0), factorB), keepA, keepB, key == walk.first && i == 0u);
          storeSum(resultsA, resultsB, column, sum, live);
        }
        s = turned(s, s.a0, s.b0);
        values = rotated(values);
      }
    }
  }

  let logSumA = logSumOf(peakA, totalA);
  let logSumB = logSumOf(peakB, totalB);
  for (var r = 0u; r < live; r++) { lse[statistic + r] = select(logSumB[r % 4u], logSumA[r % 4u], r < 4u); }
}
