// uses: order
// A copy of an operand of a product in which every line is whole vec4s; what follows the end of a line is read as it comes
// (WebGPU keeps such reads harmless), and no kernel makes use of it. A workgroup copies a line.
//
// operand: [...batch, lines, width], any strides but the last; padded: dense [...batch, lines, width / 4 rounded up].
struct Params {
  lines: u32, quads: u32,
  batches: u32, batch1: u32,
  offset: u32, lead: u32, batchStride0: u32, batchStride1: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> operand: array<f32>;
@group(0) @binding(2) var<storage, read_write> padded: array<vec4<f32>>;

const SIZE: u32 = 64u;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let line = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups);
  let batch = line / params.lines;
  if (batch >= params.batches) { return; }
  let first = params.offset + line % params.lines * params.lead
    + batch / params.batch1 * params.batchStride0 + batch % params.batch1 * params.batchStride1;
  for (var quad = lane; quad < params.quads; quad += SIZE) {
    let i = first + 4u * quad;
    padded[line * params.quads + quad] = vec4<f32>(operand[i], operand[i + 1u], operand[i + 2u], operand[i + 3u]);
  }
}
