// The order of lanes and workgroups. Every kernel takes its coordinates through these two functions, so that a test can
// run it backwards: on an adapter that runs lanes in order, a missing barrier shows only then.
fn laneOrder(local_index: u32, size: u32) -> u32 { return local_index; }
fn groupOrder(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>) -> vec3<u32> { return workgroup_id; }
// The linear index of a workgroup in a grid that was folded into two dimensions (see `grid` in kernel.ts).
fn linearGroup(group: vec3<u32>, num_workgroups: vec3<u32>) -> u32 { return group.y * num_workgroups.x + group.x; }
