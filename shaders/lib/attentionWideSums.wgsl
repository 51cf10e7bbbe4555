// of: other
// uses: attentionWide, attentionOther($other)
// The sums of four elements of sixteen others, with the weights that they have for each of the own rows.
fn sums$Other(at: Others, column: u32, weights: Blocks) -> Own {
  let x0 = other$Other(at.at0, column);
  var a = weighted(x0, weights.a0);
  var b = weighted(x0, weights.b0);
  let x1 = other$Other(at.at1, column);
  a += weighted(x1, weights.a1);
  b += weighted(x1, weights.b1);
  let x2 = other$Other(at.at2, column);
  a += weighted(x2, weights.a2);
  b += weighted(x2, weights.b2);
  let x3 = other$Other(at.at3, column);
  a += weighted(x3, weights.a3);
  b += weighted(x3, weights.b3);
  return Own(a, b);
}
// Whether one of the `rows` others from this one on, as many as a lane owns, is not finite.
fn isTainted$Other(base: u32, row: u32, rows: u32) -> bool {
  var bits = vec4<u32>();
  for (var r = row; r < min(row + 8u, rows); r++) {
    for (var column = 0u; column < params.columns; column++) { bits = max(bits, magnitudes(load$Other(base + r * params.$otherRow, column))); }
  }
  return any(bits >= INFINITE);
}
