// uses: attentionGradients, attentionStart(q k v dO dK dV), attentionRow(k v), attentionTile(q dO)
// Attention, backward, gradients of keys and values (FlashAttention-2): dV = Pᵀ dO, dK = scale dSᵀ Q.
//
// The mirror of dq.flash.wgsl: a workgroup takes 32 keys and walks over tiles of 32 query rows; teams of 8 lanes own four keys,
// a member scores them against four rows (a 4×4 block: column = key, component = row) and accumulates every eighth vec4
// column of dK and dV (columns of the matrix = keys). Grid: [tiles of 32 keys, H, B].
//
// q, dO [B, H, L, D], k, v, dK and dV (somewhere in result) [B, H, S, D], strided; statistics: dense [B, H, L] of (lse, δ).

var<workgroup> tile: array<vec4<f32>, 32u * WIDTH + 8u>; // 32 rows of Q, of dO, of Q again
var<workgroup> weights: array<vec4<f32>, 8u * STRIDE>; // for each team and row, P and then dS of four keys

@group(0) @binding(5) var<storage, read> statistics: array<vec2<f32>>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let qBase = startQ(batch, head);
  let dOBase = startDO(batch, head);
  let team = lane / 8u;
  let member = lane % 8u;
  let key = group.x * 32u + team * 4u;
  let keys = places(startK(batch, head), key, params.kRow, params.S);
  let values = places(startV(batch, head), key, params.vRow, params.S);
  let start = select(0u, group.x * 32u, CAUSAL);
  let slot = team * STRIDE + member * 4u;

  var dK: Sums;
  var dV: Sums;
  var staging = 0u;
  for (var first = walkFrom(start); first < walkTo(params.L); first += 32u) {
    let row = first + member * 4u;
    var products = mat4x4<f32>(); // Q Kᵀ
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      stageQ(qBase, first, params.L, chunk, lane, 0u);
      workgroupBarrier();
      for (var column = 0u; column < min(WIDTH, COLUMNS - chunk * WIDTH); column++) {
        products += transpose(tileBlock(member * 4u, column)) * blockK(keys, chunk * WIDTH + column);
      }
      workgroupBarrier();
    }
    var slopes = mat4x4<f32>(); // dO Vᵀ
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      if (chunk > 0u) {
        workgroupBarrier();
      }
      staging++;
      stageDO(dOBase, first, params.L, chunk, lane, staging);
      workgroupBarrier();
      for (var column = 0u; column < min(WIDTH, COLUMNS - chunk * WIDTH); column++) {
        slopes += transpose(tileBlock(member * 4u, column)) * blockV(values, chunk * WIDTH + column);
      }
    }
    let saved = statisticsBlock(batch, head, row);
    let p = weigh(scoresOf(products, batch, head, row, key), saved.lse);
    let factors = dropoutFactors(batch, head, row, key);
    let dropped = transpose(times(p, factors));
    for (var r = 0u; r < 4u; r++) { weights[slot + r] = dropped[r]; }
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      if (CHUNKS > 1u) {
        workgroupBarrier();
        staging++;
        stageDO(dOBase, first, params.L, chunk, lane, staging);
      }
      workgroupBarrier();
      accumulate(&dV, chunk, team, member, isTainted(staging));
    }
    workgroupBarrier();
    let dS = transpose(slopesOf(p, slopes, factors, saved.delta, 1.0));
    for (var r = 0u; r < 4u; r++) { weights[slot + r] = dS[r]; }
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      staging++;
      stageQ(qBase, first, params.L, chunk, lane, staging);
      workgroupBarrier();
      accumulate(&dK, chunk, team, member, isTainted(staging));
      workgroupBarrier();
    }
  }

  for (var c = 0u; c < 4u; c++) {
    if (key + c < params.S) {
      let dKBase = startDK(batch, head) + (key + c) * params.dKRow;
      let dVBase = startDV(batch, head) + (key + c) * params.dVRow;
      for (var part = 0u; part < CHUNKS * PARTS; part++) {
        let within = member + part % PARTS * 8u;
        let column = part / PARTS * WIDTH + within;
        if (within < WIDTH && column < COLUMNS) {
          store(dKBase, column, added(dKBase, column, dK[part][c] * params.scale));
          store(dVBase, column, added(dVBase, column, dV[part][c]));
        }
      }
    }
  }
}
