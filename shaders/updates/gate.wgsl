// uses: order, bits, findings
// What the parameters of a pack take part in: for each its own step number, and whether it makes the step. An invocation
// to a parameter.
// 1: counts [members], 2: groups [members], the group of each parameter, or LEFT where it has no gradient,
// 3: gate [members, 4] of (step, factor of the gradients, group, 1 where the parameter makes the step); then what `allowed` reads.
const SIZE: u32 = 64u;
const LEFT: u32 = 0xffffffffu;

struct Params { members: u32, finding: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> counts: array<i32>;
@group(0) @binding(2) var<storage, read> groups: array<u32>;
@group(0) @binding(3) var<storage, read_write> gate: array<vec4<f32>>;

// The factor of the gradients, whether the submit has not failed, and whether the step may be made by what the gradients are.
struct Allowed { scale: f32, runs: bool, finite: bool }
fn allowed() -> Allowed { return Allowed(1.0, true, true); }
fn tell(finding: u32) {}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let member = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups) * SIZE + lane;
  if (member >= params.members) { return; }
  let step = allowed();
  let runs = step.runs && step.finite && groups[member] != LEFT;
  let count = counts[member] + i32(runs);
  counts[member] = count;
  if (member == 0u && step.runs && !step.finite) { tell(LEFT_OUT); }
  gate[member] = vec4<f32>(f32(count), step.scale, f32(groups[member]), f32(runs));
}
