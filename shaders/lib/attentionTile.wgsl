// of: operand
// uses: attentionTiles, attentionRow($operand)
// Puts thirty-two of an operand's `rows` into the tile, a chunk of their columns; the last one again past the end. A staging has
// a number where its rows are summed up with weights, else 0.
fn stage$Operand(base: u32, first: u32, rows: u32, chunk: u32, lane: u32, staging: u32) {
  var sum = vec4<f32>();
  for (var x = lane; x < 32u * WIDTH; x += SIZE) {
    let row = x / WIDTH;
    let column = x % WIDTH;
    let value = load$Operand(base + min(first + row, rows - 1u) * params.$operandRow, chunk * WIDTH + column);
    tile[tileIndex(row, column)] = value;
    sum += value;
  }
  noteTaint(sum, staging);
}
