// of: operand
// uses: attentionTiles, attentionRow($operand)
// Puts thirty-two of an operand's `rows` into the tile, a chunk of their columns; the last one again past the end. A staging has
// a number where its rows are summed up with weights, else 0.
fn stage$Operand(base: u32, first: u32, rows: u32, chunk: u32, lane: u32, staging: u32) {
  let last = base + (rows - 1u) * params.$operandRow;
  let own = base + lane / WIDTH * params.$operandRow;
  var sum = vec4<f32>();
  for (var i = 0u; i < (32u * WIDTH + SIZE - 1u) / SIZE; i++) {
    var value = vec4<f32>();
    if (SIZE % (4u * WIDTH) == 0u && 32u * WIDTH % SIZE == 0u) {
      // The next vec4 of a lane is so many rows further down.
      let column = lane % WIDTH;
      let at = own + (first + i * (SIZE / WIDTH)) * params.$operandRow;
      if (isColumn(chunk, column)) { value = load$Operand(min(at, last), chunk * WIDTH + column); }
      tile[i * (SIZE / (4u * WIDTH)) + lane % SIZE / (4u * WIDTH)].rows[lane / WIDTH % 4u][column] = value;
    } else {
      let x = i * SIZE + lane;
      if (x >= 32u * WIDTH) { break; }
      let row = x / WIDTH;
      let column = x % WIDTH;
      let at = base + (first + row) * params.$operandRow;
      if (isColumn(chunk, column)) { value = load$Operand(min(at, last), chunk * WIDTH + column); }
      tile[row / 4u].rows[row % 4u][column] = value;
    }
    sum += value;
  }
  noteTaint(sum, staging);
}
