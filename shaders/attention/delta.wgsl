// uses: order.wgsl
// Attention, backward, first stage where dq.wgsl has no bindings left to do it: δ = rowsum(dO ∘ O) of every query row, put beside the row's lse for the other stages.
//
// A lane takes a row. Grid: [tiles of 64 rows, H, B].
// o and dO [B, H, L, D], strided; lse: dense [B, H, L]; statistics: dense [B, H, L] of (lse, δ).
//
// The element type of o and dO: f32, or vec4<f32> (with the load hooks replaced) where head size, strides and offsets are
// multiples of four.
alias Element = f32;
const SIZE: u32 = 64u;

struct Params {
  H: u32, L: u32, D: u32, columns: u32,
  OOffset: u32, OBatch: u32, OHead: u32, ORow: u32,
  dOOffset: u32, dOBatch: u32, dOHead: u32, dORow: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> o: array<Element>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read> dO: array<Element>;
@group(0) @binding(4) var<storage, read_write> statistics: array<vec2<f32>>;

fn inside(column: u32) -> vec4<bool> { return 4u * column + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(params.D); }
fn loadO(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(o[i], o[i + 1u], o[i + 2u], o[i + 3u]), inside(column));
}
fn loadDO(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(dO[i], dO[i + 1u], dO[i + 2u], dO[i + 3u]), inside(column));
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let batch = group.z;
  let head = group.y;
  let row = group.x * SIZE + lane;
  if (row < params.L) {
    let oBase = params.OOffset + batch * params.OBatch + head * params.OHead + row * params.ORow;
    let dOBase = params.dOOffset + batch * params.dOBatch + head * params.dOHead + row * params.dORow;
    var delta = vec4<f32>();
    for (var column = 0u; column < params.columns; column++) { delta += loadO(oBase, column) * loadDO(dOBase, column); }
    let index = (batch * params.H + head) * params.L + row;
    statistics[index] = vec2<f32>(lse[index], dot(delta, vec4<f32>(1.0)));
  }
}
