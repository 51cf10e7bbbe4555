// of: operand
// uses: attentionElements
// Four elements of a row of an operand that is read.
fn load$Operand(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>($operand[i], $operand[i + 1u], $operand[i + 2u], $operand[i + 3u]), inside(column));
}
// The same of four rows.
fn block$Operand(at: vec4<u32>, column: u32) -> mat4x4<f32> {
  return mat4x4<f32>(load$Operand(at.x, column), load$Operand(at.y, column), load$Operand(at.z, column), load$Operand(at.w, column));
}
