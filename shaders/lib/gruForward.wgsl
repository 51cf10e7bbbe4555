// uses: math
// A layer of gated recurrent units (Cho et al. 2014; gates r, z, n and biases as in PyTorch):
//   h' = (1 - z) * n + z * h,  n = tanh(x_n + r * (h_n + b_n)).
// gates [T, B, 4H] keeps r, z, n and h_n + b_n for backward; a step beyond a row's length keeps a z of 1.
@group(0) @binding(5) var<storage, read_write> gates: array<T>;
// Bias of h's share, [3H].
fn biasOf(at: u32) -> T { return T(); }
fn firstC(at: u32) -> T { return T(); }
fn cAt(at: u32) -> T { return T(); }
fn cellStep(row: u32, unit: u32, sumR: T, sumZ: T, sumN: T, none: T, before: State) -> State {
  let x = row * 3u * UNITS + unit;
  let r = sigmoid(gatesX[x] + sumR + biasOf(unit));
  let z = sigmoid(gatesX[x + UNITS] + sumZ + biasOf(UNITS + unit));
  let ofH = sumN + biasOf(2u * UNITS + unit);
  let n = safeTanh(gatesX[x + 2u * UNITS] + r * ofH);
  let at = row * 4u * UNITS + unit;
  gates[at] = r;
  gates[at + UNITS] = z;
  gates[at + 2u * UNITS] = n;
  gates[at + 3u * UNITS] = ofH;
  return State(n + z * (before.h - n), T());
}
fn cellRest(row: u32, unit: u32, before: State) {
  for (var gate = 0u; gate < 4u; gate++) { gates[(row * 4u + gate) * UNITS + unit] = T(select(0.0, 1.0, gate == 1u)); }
}
