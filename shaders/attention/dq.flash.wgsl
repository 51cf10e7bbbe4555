// uses: attentionGradients, attentionStart(q k v dO dQ), attentionProducts(q dO), attentionTile(k v)
// Attention, backward, gradient of the queries (FlashAttention-2): dQ = scale Σ_keys dS K with dS = P ∘ (dropout(dO Vᵀ) - δ).
//
// As forward.flash.wgsl: a workgroup takes 32 query rows and walks over tiles of 32 keys; teams of 8 lanes own four rows.
// Weights are recomputed from lse. Grid: [tiles of 32 rows, H, B].
//
// q, dO and dQ (somewhere in result) [B, H, L, D], k, v [B, H, S, D], strided; statistics: dense [B, H, L] of (lse, δ), from
// delta.wgsl, or written here.

@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

const OWNS_QUERIES: bool = true;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let kBase = startK(batch, head);
  let vBase = startV(batch, head);
  let team = lane / MEMBERS;
  let member = lane % MEMBERS;
  let row = group.x * 32u + team * 4u;
  let queries = places(startQ(batch, head), row, params.qRow, params.L);
  let gradients = places(startDO(batch, head), row, params.dORow, params.L);
  let walk = keyWalk(batch, head, group.x * 32u, 32u);
  let saved = savedRows(batch, head, row, member == 0u);

  var dQ: Sums;
  var second: Sums; // of the second chunk
  var staging = 0u;
  for (var first = walk.start; first < walk.end; first += 32u) {
    let key = first + member * 4u;
    stageV(vBase, first, params.S, 0u, lane, 0u);
    workgroupBarrier();
    var slopes = productsDO(mat4x4<f32>(), gradients, 0u, member); // dO Vᵀ
    workgroupBarrier();
    // Q Kᵀ, the second chunk first: the other one is summed up next.
    var products = mat4x4<f32>();
    if (CHUNKS > 1u) {
      stageV(vBase, first, params.S, 1u, lane, 0u);
      workgroupBarrier();
      slopes = productsDO(slopes, gradients, 1u, member);
      workgroupBarrier();
      stageK(kBase, first, params.S, 1u, lane, 0u);
      workgroupBarrier();
      products = productsQ(products, queries, 1u, member);
      workgroupBarrier();
    }
    staging++;
    stageK(kBase, first, params.S, 0u, lane, staging);
    workgroupBarrier();
    products = productsQ(products, queries, 0u, member);
    let factors = dropoutFactors(batch, head, row, key);
    putWeights(team, member, slopesOf(weigh(scoresOf(products, batch, head, row, key), saved.lse), slopes, factors, saved.delta, 1.0));
    workgroupBarrier();
    dQ = accumulated(dQ, team, member, isTainted(staging));
    workgroupBarrier();
    if (CHUNKS > 1u) {
      staging++;
      stageK(kBase, first, params.S, 1u, lane, staging);
      workgroupBarrier();
      second = accumulated(second, team, member, isTainted(staging));
      workgroupBarrier();
    }
  }

  let live = min(4u, params.L - min(row, params.L));
  let results = startDQ(batch, head) + (row + vec4<u32>(0u, 1u, 2u, 3u)) * params.dQRow;
  storeSums(enlarged(dQ, params.scale), 0u, member, results, live, true);
  if (CHUNKS > 1u) { storeSums(enlarged(second, params.scale), 1u, member, results, live, true); }
}
