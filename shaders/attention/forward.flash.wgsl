// uses: attentionForward, attentionStart(q k v O), attentionProducts(q), attentionTile(k v)
// Attention, forward, with tiles in workgroup memory (FlashAttention-2: Dao, 2023): softmax(scale Q Kᵀ + mask) V.
//
// A workgroup takes 32 query rows and walks over tiles of 32 keys. Its 64 lanes form 8 teams of 8: a team owns four rows,
// a member scores them against four keys (a 4×4 block: column = key, component = row) and accumulates every eighth vec4
// column of the output (columns of the matrix = rows). The rows' maximum and sum run along, so no L×S memory is needed.
// Grid: [tiles of 32 rows, H, B].
//
// q and result [B, H, L, D], k and v [B, H, S, D], strided; lse: dense [B, H, L], max + log of the sum of exponentials.
// A row whose keys are all hidden gives 0, and an lse of +1e30.

// The largest score of each member of a team.
var<workgroup> exchange: array<array<vec4<f32>, 8>, 8>;

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
  let walk = keyWalk(batch, head, group.x * 32u, 32u);
  let live = min(4u, params.L - min(row, params.L));
  let running = runningOf((batch * params.H + head) * params.L + row, live);

  let results = startO(batch, head) + (row + vec4<u32>(0u, 1u, 2u, 3u)) * params.ORow;

  var output: Sums;
  var second: Sums; // of the second chunk
  if (resumes()) {
    output = loadSums(results, 0u, member, live);
    if (CHUNKS > 1u) { second = loadSums(results, 1u, member, live); }
  }
  var peak = running.peak;
  var total = select(vec4<f32>(), running.total, member == 0u); // over this member's keys
  var staging = 0u;
  for (var first = walk.start; first < walk.end; first += 32u) {
    let key = first + member * 4u;
    stageK(kBase, first, params.S, 0u, lane, 0u);
    workgroupBarrier();
    var products = productsQ(mat4x4<f32>(), queries, 0u, member);
    if (CHUNKS > 1u) {
      workgroupBarrier();
      stageK(kBase, first, params.S, 1u, lane, 0u);
      workgroupBarrier();
      products = productsQ(products, queries, 1u, member);
    }
    let scores = scoresOf(products, batch, head, row, key);
    exchange[team][member] = largest(scores);
    workgroupBarrier();

    let before = peak;
    for (var other = 0u; other < 8u; other++) { peak = max(peak, exchange[team][other]); }
    let shrink = decay(before - peak);
    let p = weigh(scores, peak);
    total = total * shrink + sum(p);
    putWeights(team, member, times(p, dropoutFactors(batch, head, row, key)));
    output = shrunk(output, shrink);
    staging++;
    stageV(vBase, first, params.S, 0u, lane, staging);
    workgroupBarrier();
    output = accumulated(output, team, member, isTainted(staging));
    workgroupBarrier();
    if (CHUNKS > 1u) {
      second = shrunk(second, shrink);
      staging++;
      stageV(vBase, first, params.S, 1u, lane, staging);
      workgroupBarrier();
      second = accumulated(second, team, member, isTainted(staging));
      workgroupBarrier();
    }
  }

  exchange[team][member] = total;
  workgroupBarrier();
  total = vec4<f32>();
  for (var other = 0u; other < 8u; other++) { total += exchange[team][other]; }
  let inverse = inverseOf(total);
  let logSum = logSumOf(peak, total);
  storeSums(shrunk(output, inverse), 0u, member, results, live, false);
  if (CHUNKS > 1u) { storeSums(shrunk(second, inverse), 1u, member, results, live, false); }
  if (member == 0u) {
    for (var r = 0u; r < live; r++) { lse[(batch * params.H + head) * params.L + row + r] = logSum[r]; }
  }
}
fn shrunk(x: Sums, factors: vec4<f32>) -> Sums { return Sums(scaled(x.a, factors), scaled(x.b, factors)); }
// What earlier dispatches have left of a chunk.
fn loadSums(at: vec4<u32>, chunk: u32, member: u32, live: u32) -> Sums {
  var sums: Sums;
  for (var r = 0u; r < live; r++) {
    if (hasFirst(member) && isColumn(chunk, member)) { sums.a[r] = loadResult(at[r], chunk * WIDTH + member); }
    if (hasSecond(member) && isColumn(chunk, member + 8u)) { sums.b[r] = loadResult(at[r], chunk * WIDTH + member + 8u); }
  }
  return sums;
}
