// c += a·b of blocks of 4×4, as chains of products and sums that a GPU fuses; b · a as a matrix product would add each four
// first. Column i of an operand is its row i.
fn multiplyAdd(c: mat4x4<f32>, a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(rowTimes(c[0], a[0], b), rowTimes(c[1], a[1], b), rowTimes(c[2], a[2], b), rowTimes(c[3], a[3], b));
}
fn rowTimes(c: vec4<f32>, a: vec4<f32>, b: mat4x4<f32>) -> vec4<f32> {
  return c + a.x * b[0] + a.y * b[1] + a.z * b[2] + a.w * b[3];
}
