// What the attention kernels share that keep a lane's rows in registers and sums in the rows of the result.
const BLOCKS: u32 = 8u; // blocks of four that are scored before results are updated
const SIZE: u32 = 8u;

fn loadResult(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(result[i], result[i + 1u], result[i + 2u], result[i + 3u]), inside(column));
}
// Where four rows begin; those past the end are the last one again.
fn places(base: u32, row: u32, stride: u32, rows: u32) -> vec4<u32> {
  return base + min(row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u)) * stride;
}
fn queryBlock(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadQ(at.x, column), loadQ(at.y, column), loadQ(at.z, column), loadQ(at.w, column));
}
fn keyBlock(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadK(at.x, column), loadK(at.y, column), loadK(at.z, column), loadK(at.w, column));
}
fn valueBlock(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(loadV(at.x, column), loadV(at.y, column), loadV(at.z, column), loadV(at.w, column));
}
