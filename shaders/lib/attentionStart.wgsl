// of: operand
// Where the rows of a head begin in a strided operand.
fn start$Operand(batch: u32, head: u32) -> u32 {
  return params.$operandOffset + batch * params.$operandBatch + head * params.$operandHead;
}
