// of: own, other
// uses: attentionWide, attentionRow($own), attentionOther($other)
// The products of eight own rows and sixteen others.
fn products$Own$Other(ownA: vec4<u32>, ownB: vec4<u32>, at: Others) -> Blocks {
  var s: Blocks;
  for (var column = 0u; column < params.columns; column++) {
    let a = ownTurned(block$Own(ownA, column));
    let b = ownTurned(block$Own(ownB, column));
    let x0 = other$Other(at.at0, column);
    s.a0 += product(a, x0);
    s.b0 += product(b, x0);
    let x1 = other$Other(at.at1, column);
    s.a1 += product(a, x1);
    s.b1 += product(b, x1);
    let x2 = other$Other(at.at2, column);
    s.a2 += product(a, x2);
    s.b2 += product(b, x2);
    let x3 = other$Other(at.at3, column);
    s.a3 += product(a, x3);
    s.b3 += product(b, x3);
  }
  return s;
}
