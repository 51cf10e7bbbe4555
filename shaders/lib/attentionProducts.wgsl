// of: own
// uses: attentionTiles, attentionRow($own)
// Adds a chunk's part of the products of a team's four own rows with those of the tile that a member scores: a key for a column, a
// query for a component.
fn products$Own(before: mat4x4<f32>, at: vec4<u32>, chunk: u32, member: u32) -> mat4x4<f32> {
  var products = before;
  for (var column = 0u; column < WIDTH; column++) {
    if (!isColumn(chunk, column)) { break; }
    let own = block$Own(at, chunk * WIDTH + column);
    let others = othersBlock(member, column);
    if (OWNS_QUERIES) {
      products = multiplyAdd(products, others, transpose(own));
    } else {
      products = multiplyAdd(products, own, transpose(others));
    }
  }
  return products;
}
