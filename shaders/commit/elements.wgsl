// uses: order
// The next version of a state where nothing is wrong with the submit, else its version until then: what `state` holds, or
// zeros (FRESH). An invocation takes PER Elements, SIZE apart.
struct Params { size: u32 }
alias Element = f32;
const SIZE: u32 = 64u;
const PER: u32 = 1u;
const FRESH: bool = false;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> state: array<Element>;
@group(0) @binding(2) var<storage, read> next: array<Element>;
@group(0) @binding(3) var<storage, read> status: array<u32>;

fn commit(i: u32) {
  if (i >= params.size) { return; }
  if (status[0] == 0u) { state[i] = next[i]; } else if (FRESH) { state[i] = Element(); }
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let first = linearGroup(group, num_workgroups) * SIZE * PER + lane;
  commit(first);
  if (PER > 1u) {
    commit(first + SIZE);
    commit(first + 2u * SIZE);
    commit(first + 3u * SIZE);
  }
}
