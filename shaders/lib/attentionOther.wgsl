// of: operand
// uses: attentionRows, attentionRow($operand)
// Hook, as otherPlaces: four rows of an operand that are the same for all lanes of a workgroup.
fn other$Operand(at: vec4<u32>, column: u32) -> mat4x4<f32> { return block$Operand(at, column); }
