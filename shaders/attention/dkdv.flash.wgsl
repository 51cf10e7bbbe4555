// uses: attentionGradients, attentionStart(q k v dO dK dV), attentionProducts(k v), attentionTile(q dO)
// Attention, backward, gradients of keys and values (FlashAttention-2): dV = Pᵀ dO, dK = scale dSᵀ Q.
//
// The mirror of dq.flash.wgsl: a workgroup takes 32 keys and walks over tiles of 32 query rows; teams own four keys, a member scores
// them against four rows, or two where a team has 16 lanes (a block: column = key, component = row), and accumulates every eighth
// or sixteenth vec4 column of dK and dV (columns of the matrix = keys). Grid: [tiles of 32 keys, H, B].
//
// q, dO [B, H, L, D], k, v, dK and dV (somewhere in result) [B, H, S, D], strided; statistics: dense [B, H, L] of (lse, δ).

@group(0) @binding(5) var<storage, read> statistics: array<vec2<f32>>;

const OWNS_QUERIES: bool = false;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let qBase = startQ(batch, head);
  let dOBase = startDO(batch, head);
  let team = lane / MEMBERS;
  let member = lane % MEMBERS;
  let key = group.x * 32u + team * 4u;
  let keys = places(startK(batch, head), key, params.kRow, params.S);
  let values = places(startV(batch, head), key, params.vRow, params.S);
  let walk = queryWalk(batch, head, group.x * 32u, 32u);

  var dK: Sums;
  var dV: Sums;
  var secondK: Sums; // of the second chunk
  var secondV: Sums;
  var staging = 0u;
  for (var first = walk.start; first < walk.end; first += 32u) {
    let row = first + member * OTHERS;
    stageQ(qBase, first, params.L, 0u, lane, 0u);
    workgroupBarrier();
    var products = productsK(mat4x4<f32>(), keys, 0u, member); // Q Kᵀ
    workgroupBarrier();
    // dO Vᵀ, the second chunk first: the other one is summed up next.
    var slopes = mat4x4<f32>();
    if (CHUNKS > 1u) {
      stageQ(qBase, first, params.L, 1u, lane, 0u);
      workgroupBarrier();
      products = productsK(products, keys, 1u, member);
      workgroupBarrier();
      stageDO(dOBase, first, params.L, 1u, lane, 0u);
      workgroupBarrier();
      slopes = productsV(slopes, values, 1u, member);
      workgroupBarrier();
    }
    staging++;
    stageDO(dOBase, first, params.L, 0u, lane, staging);
    workgroupBarrier();
    slopes = productsV(slopes, values, 0u, member);
    let saved = statisticsBlock(batch, head, row);
    let p = weigh(scoresOf(products, batch, head, row, key), saved.lse);
    let factors = dropoutFactors(batch, head, row, key);
    let dS = slopesOf(p, slopes, factors, saved.delta, 1.0);
    putWeights(team, member, transpose(times(p, factors)));
    workgroupBarrier();
    dV = accumulated(dV, team, member, isTainted(staging));
    workgroupBarrier();
    if (CHUNKS > 1u) {
      staging++;
      stageDO(dOBase, first, params.L, 1u, lane, staging);
      workgroupBarrier();
      secondV = accumulated(secondV, team, member, isTainted(staging));
      workgroupBarrier();
    }
    putWeights(team, member, transpose(dS));
    staging++;
    stageQ(qBase, first, params.L, 0u, lane, staging);
    workgroupBarrier();
    dK = accumulated(dK, team, member, isTainted(staging));
    workgroupBarrier();
    if (CHUNKS > 1u) {
      staging++;
      stageQ(qBase, first, params.L, 1u, lane, staging);
      workgroupBarrier();
      secondK = accumulated(secondK, team, member, isTainted(staging));
      workgroupBarrier();
    }
  }

  let live = min(4u, params.S - min(key, params.S));
  let own = key + vec4<u32>(0u, 1u, 2u, 3u);
  let atK = startDK(batch, head) + own * params.dKRow;
  let atV = startDV(batch, head) + own * params.dVRow;
  storeSums(enlarged(dK, params.scale), 0u, member, atK, live, true);
  storeSums(dV, 0u, member, atV, live, true);
  if (CHUNKS > 1u) {
    storeSums(enlarged(secondK, params.scale), 1u, member, atK, live, true);
    storeSums(secondV, 1u, member, atV, live, true);
  }
}
