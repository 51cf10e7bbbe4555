// uses: order, lstmCell
// One step of an LSTM cell. A thread computes one unit of one batch row.
// preGates [B, 4H] (i, f, g, o) before the activations, c [B, H]; gates [B, 4H] are kept, activated, for backward.
struct Params { B: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> preGates: array<f32>;
@group(0) @binding(2) var<storage, read> cBefore: array<f32>;
@group(0) @binding(3) var<storage, read_write> hNew: array<f32>;
@group(0) @binding(4) var<storage, read_write> cNew: array<f32>;
@group(0) @binding(5) var<storage, read_write> gates: array<f32>;
const H: u32 = 32u;
const SIZE: u32 = 64u;
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let index = linearGroup(group, num_workgroups) * SIZE + lane;
  if (index >= params.B * H) { return; }
  let at = index / H * 4u * H + index % H;
  let sums = Gates(preGates[at], preGates[at + H], preGates[at + 2u * H], preGates[at + 3u * H]);
  let next = cellOf(sums, cBefore[index]);
  gates[at] = next.gates.i;
  gates[at + H] = next.gates.f;
  gates[at + 2u * H] = next.gates.g;
  gates[at + 3u * H] = next.gates.o;
  cNew[index] = next.c;
  hNew[index] = next.h;
}
