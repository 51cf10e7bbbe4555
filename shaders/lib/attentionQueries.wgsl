// What forwardRows.wgsl and dqRows.wgsl share: a lane owns queries, and the others are keys.
// Q Kᵀ of eight queries and sixteen keys.
fn queryKeys(queriesA: vec4<u32>, queriesB: vec4<u32>, keys: Others) -> Blocks {
  var s: Blocks;
  for (var column = 0u; column < params.columns; column++) {
    let a = transpose(blockQ(queriesA, column));
    let b = transpose(blockQ(queriesB, column));
    let k0 = otherK(keys.at0, column);
    s.a0 += a * k0;
    s.b0 += b * k0;
    let k1 = otherK(keys.at1, column);
    s.a1 += a * k1;
    s.b1 += b * k1;
    let k2 = otherK(keys.at2, column);
    s.a2 += a * k2;
    s.b2 += b * k2;
    let k3 = otherK(keys.at3, column);
    s.a3 += a * k3;
    s.b3 += b * k3;
  }
  return s;
}
