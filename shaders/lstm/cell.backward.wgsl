// uses: order, lstmCell
// Gradient of cell.forward.wgsl: from dh', dc' [B, H], the activated gates [B, 4H], c and c' [B, H] to the gradient of the gates
// before their activations, dPreGates [B, 4H], and dc [B, H].
struct Params { B: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dhNew: array<f32>;
@group(0) @binding(2) var<storage, read> dcNew: array<f32>;
@group(0) @binding(3) var<storage, read> gates: array<f32>;
@group(0) @binding(4) var<storage, read> cBefore: array<f32>;
@group(0) @binding(5) var<storage, read> cNew: array<f32>;
@group(0) @binding(6) var<storage, read_write> dPreGates: array<f32>;
@group(0) @binding(7) var<storage, read_write> dcBefore: array<f32>;
const H: u32 = 32u;
const SIZE: u32 = 64u;
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let index = linearGroup(group, num_workgroups) * SIZE + lane;
  if (index >= params.B * H) { return; }
  let at = index / H * 4u * H + index % H;
  let left = Gates(gates[at], gates[at + H], gates[at + 2u * H], gates[at + 3u * H]);
  let d = cellGradient(left, cNew[index], cBefore[index], dhNew[index], dcNew[index]);
  dPreGates[at] = d.gates.i;
  dPreGates[at + H] = d.gates.f;
  dPreGates[at + 2u * H] = d.gates.g;
  dPreGates[at + 3u * H] = d.gates.o;
  dcBefore[index] = d.c;
}
