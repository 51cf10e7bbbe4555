// uses: attentionForward, attentionStart(q k v O), attentionRow(q), attentionTile(k v)
// Attention, forward, with tiles in workgroup memory (FlashAttention-2: Dao, 2023): softmax(scale Q Kᵀ + mask) V.
//
// A workgroup takes 32 query rows and walks over tiles of 32 keys. Its 64 lanes form 8 teams of 8: a team owns four rows,
// a member scores them against four keys (a 4×4 block: column = key, component = row) and accumulates every eighth vec4
// column of the output (columns of the matrix = rows). The rows' maximum and sum run along, so no L×S memory is needed.
// Grid: [tiles of 32 rows, H, B].
//
// q and result [B, H, L, D], k and v [B, H, S, D], strided; lse: dense [B, H, L], max + log of the sum of exponentials.
// A row whose keys are all hidden gives 0, and an lse of +1e30.

var<workgroup> tile: array<vec4<f32>, 32u * WIDTH + 8u>; // 32 rows of K, then of V
var<workgroup> weights: array<vec4<f32>, 8u * STRIDE>; // for each team and key, the weights in four rows
var<workgroup> exchange: array<vec4<f32>, SIZE>;

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
  let end = walkTo(select(params.S, min(params.S, group.x * 32u + 32u), CAUSAL));
  let live = min(4u, params.L - min(row, params.L));
  let running = runningOf((batch * params.H + head) * params.L + row, live);

  var output: Sums;
  if (resumes()) {
    for (var r = 0u; r < live; r++) {
      for (var part = 0u; part < CHUNKS * PARTS; part++) {
        let within = member + part % PARTS * 8u;
        let column = part / PARTS * WIDTH + within;
        if (within < WIDTH && column < COLUMNS) { output[part][r] = loadResult(startO(batch, head) + (row + r) * params.ORow, column); }
      }
    }
  }
  var peak = running.peak;
  var total = select(vec4<f32>(), running.total, member == 0u); // over this member's keys
  var staging = 0u;
  for (var first = walkFrom(0u); first < end; first += 32u) {
    let key = first + member * 4u;
    var products = mat4x4<f32>();
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      if (chunk > 0u) {
        workgroupBarrier();
      }
      stageK(kBase, first, params.S, chunk, lane, 0u);
      workgroupBarrier();
      for (var column = 0u; column < min(WIDTH, COLUMNS - chunk * WIDTH); column++) {
        products += transpose(blockQ(queries, chunk * WIDTH + column)) * tileBlock(member * 4u, column);
      }
    }
    let scores = scoresOf(products, batch, head, row, key);
    exchange[lane] = largest(scores);
    workgroupBarrier();

    let before = peak;
    for (var other = 0u; other < 8u; other++) { peak = max(peak, exchange[team * 8u + other]); }
    let shrink = decay(before - peak);
    let factors = dropoutFactors(batch, head, row, key);
    let slot = team * STRIDE + member * 4u;
    let p = weigh(scores, peak);
    let dropped = times(p, factors);
    total = total * shrink + sum(p);
    for (var c = 0u; c < 4u; c++) { weights[slot + c] = dropped[c]; }
    for (var part = 0u; part < CHUNKS * PARTS; part++) {
      output[part] = scaled(output[part], shrink);
    }
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      staging++;
      stageV(vBase, first, params.S, chunk, lane, staging);
      workgroupBarrier();
      accumulate(&output, chunk, team, member, isTainted(staging));
      workgroupBarrier();
    }
  }

  exchange[lane] = total;
  workgroupBarrier();
  total = vec4<f32>();
  for (var other = 0u; other < 8u; other++) { total += exchange[team * 8u + other]; }
  let inverse = inverseOf(total);
  let logSum = logSumOf(peak, total);
  for (var r = 0u; r < 4u; r++) {
    if (row + r < params.L) {
      let base = startO(batch, head) + (row + r) * params.ORow;
      for (var part = 0u; part < CHUNKS * PARTS; part++) {
        let within = member + part % PARTS * 8u;
        let column = part / PARTS * WIDTH + within;
        if (within < WIDTH && column < COLUMNS) { store(base, column, output[part][r] * inverse[r]); }
      }
      if (member == 0u) { lse[(batch * params.H + head) * params.L + row + r] = logSum[r]; }
    }
  }
}
