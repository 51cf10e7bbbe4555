// uses: math, recurrentGradient
// The gradient of a layer of gated recurrent units, from what gruForward.wgsl keeps. dGates [2, T, B, 3H] are those of h's share
// of the gates, which the recurrent product wants, and those of the input's: they differ in n, by r.
@group(0) @binding(4) var<storage, read> gates: array<T>;
@group(0) @binding(5) var<storage, read> hidden: array<T>;
@group(0) @binding(6) var<storage, read> h0: array<T>;
fn lastDC(at: u32) -> T { return T(); }
fn cellBack(row: u32, rowBefore: u32, state: u32, unit: u32, hasBefore: bool, dH: T, dC: T) -> Gradient {
  let kept = row * 4u * UNITS + unit;
  let r = gates[kept];
  let z = gates[kept + UNITS];
  let n = gates[kept + 2u * UNITS];
  var before = h0[state];
  if (hasBefore) { before = hidden[rowBefore * UNITS + unit]; }
  let dN = dH * (T(1.0) - z) * (T(1.0) - n * n);
  let dR = dN * gates[kept + 3u * UNITS] * r * (T(1.0) - r);
  let dZ = dH * (before - n) * z * (T(1.0) - z);
  let ofH = row * 3u * UNITS + unit;
  let ofX = ofH + params.T * params.B * 3u * UNITS;
  dGates[ofH] = dR;
  dGates[ofX] = dR;
  dGates[ofH + UNITS] = dZ;
  dGates[ofX + UNITS] = dZ;
  dGates[ofH + 2u * UNITS] = dN * r;
  dGates[ofX + 2u * UNITS] = dN;
  return Gradient(dR, dZ, dN * r, T(), dH * z, T());
}
