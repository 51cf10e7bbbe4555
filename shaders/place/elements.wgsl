// uses: order
// Overwrites `size` Elements of a flat buffer, from `offset` on, and those behind them, up to `padded`, with 0; an invocation
// takes PER of them, SIZE apart.
struct Params { size: u32, padded: u32, offset: u32 }
alias Element = f32;
const SIZE: u32 = 64u;
const PER: u32 = 1u;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> flat: array<Element>;
@group(0) @binding(2) var<storage, read> values: array<Element>;

fn place(i: u32) {
  if (i < params.size) { flat[params.offset + i] = values[i]; } else if (i < params.padded) { flat[params.offset + i] = Element(); }
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let first = linearGroup(group, num_workgroups) * SIZE * PER + lane;
  place(first);
  if (PER > 1u) {
    place(first + SIZE);
    place(first + 2u * SIZE);
    place(first + 3u * SIZE);
  }
}
