// uses: order, attentionStart(O dO), attentionRow(O dO)
// Attention, backward, first stage where that of dQ has no bindings left to do it: δ = rowsum(dO ∘ O) of every query row, put
// beside the row's lse for the other stages.
//
// A lane takes a row. Grid: [tiles of 64 rows, H, B].
// O and dO [B, H, L, D], strided; lse: dense [B, H, L]; statistics: dense [B, H, L] of (lse, δ).
const SIZE: u32 = 64u;

struct Params {
  H: u32, L: u32, D: u32, columns: u32,
  OOffset: u32, OBatch: u32, OHead: u32, ORow: u32,
  dOOffset: u32, dOBatch: u32, dOHead: u32, dORow: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> O: array<Element>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read> dO: array<Element>;
@group(0) @binding(4) var<storage, read_write> statistics: array<vec2<f32>>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let row = group.x * SIZE + lane;
  if (row < params.L) {
    let results = startO(batch, head) + row * params.ORow;
    let gradients = startDO(batch, head) + row * params.dORow;
    var delta = vec4<f32>();
    for (var column = 0u; column < params.columns; column++) { delta += loadO(results, column) * loadDO(gradients, column); }
    let index = (batch * params.H + head) * params.L + row;
    statistics[index] = vec2<f32>(lse[index], dot(delta, vec4<f32>(1.0)));
  }
}
