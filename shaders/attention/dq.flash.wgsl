// uses: attentionGradients, attentionStart(q k v dO dQ), attentionRow(q dO), attentionTile(k v)
// Attention, backward, gradient of the queries (FlashAttention-2): dQ = scale Σ_keys dS K with dS = P ∘ (dropout(dO Vᵀ) - δ).
//
// As forward.flash.wgsl: a workgroup takes 32 query rows and walks over tiles of 32 keys; teams of 8 lanes own four rows.
// Weights are recomputed from lse. Grid: [tiles of 32 rows, H, B].
//
// q, dO and dQ (somewhere in result) [B, H, L, D], k, v [B, H, S, D], strided; statistics: dense [B, H, L] of (lse, δ), from
// delta.wgsl, or written here.

var<workgroup> tile: array<vec4<f32>, 32u * WIDTH + 8u>; // 32 rows of V, then of K
var<workgroup> weights: array<vec4<f32>, 8u * STRIDE>; // for each team and key, dS in four rows

@group(0) @binding(5) var<storage, read_write> statistics: array<vec2<f32>>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let kBase = startK(batch, head);
  let vBase = startV(batch, head);
  let team = lane / 8u;
  let member = lane % 8u;
  let row = group.x * 32u + team * 4u;
  let queries = places(startQ(batch, head), row, params.qRow, params.L);
  let gradients = places(startDO(batch, head), row, params.dORow, params.L);
  let end = walkTo(select(params.S, min(params.S, group.x * 32u + 32u), CAUSAL));
  let saved = savedRows(batch, head, row, member == 0u);

  var dQ: Sums;
  var staging = 0u;
  for (var first = walkFrom(0u); first < end; first += 32u) {
    let key = first + member * 4u;
    var slopes = mat4x4<f32>(); // dO Vᵀ
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      stageV(vBase, first, params.S, chunk, lane, 0u);
      workgroupBarrier();
      for (var column = 0u; column < min(WIDTH, COLUMNS - chunk * WIDTH); column++) {
        slopes += transpose(blockDO(gradients, chunk * WIDTH + column)) * tileBlock(member * 4u, column);
      }
      workgroupBarrier();
    }
    var products = mat4x4<f32>(); // Q Kᵀ
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      if (chunk > 0u) {
        workgroupBarrier();
      }
      staging++;
      stageK(kBase, first, params.S, chunk, lane, staging);
      workgroupBarrier();
      for (var column = 0u; column < min(WIDTH, COLUMNS - chunk * WIDTH); column++) {
        products += transpose(blockQ(queries, chunk * WIDTH + column)) * tileBlock(member * 4u, column);
      }
    }
    let factors = dropoutFactors(batch, head, row, key);
    let slot = team * STRIDE + member * 4u;
    let dS = slopesOf(weigh(scoresOf(products, batch, head, row, key), saved.lse), slopes, factors, saved.delta, 1.0);
    for (var c = 0u; c < 4u; c++) { weights[slot + c] = dS[c]; }
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      if (CHUNKS > 1u) {
        workgroupBarrier();
        staging++;
        stageK(kBase, first, params.S, chunk, lane, staging);
      }
      workgroupBarrier();
      accumulate(&dQ, chunk, team, member, isTainted(staging));
    }
    workgroupBarrier();
  }

  for (var r = 0u; r < 4u; r++) {
    if (row + r < params.L) {
      let base = startDQ(batch, head) + (row + r) * params.dQRow;
      for (var part = 0u; part < CHUNKS * PARTS; part++) {
        let within = member + part % PARTS * 8u;
        let column = part / PARTS * WIDTH + within;
        if (within < WIDTH && column < COLUMNS) { store(base, column, added(base, column, dQ[part][r] * params.scale)); }
      }
    }
  }
}
