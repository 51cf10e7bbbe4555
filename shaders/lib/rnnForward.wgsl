// uses: math
// A layer of plain units (Elman 1990): h' = tanh(gatesX + W_hh . h), or another function of that. It shows what a cell has to say.
// Of a state c: what it starts from, and what it was at a step before.
fn firstC(at: u32) -> T { return T(); }
fn cAt(at: u32) -> T { return T(); }
fn activation(x: T) -> T { return safeTanh(x); }
// A step of vector `unit` of a row, which is its place in [T, B], from the sums W_hh . h of each gate.
fn cellStep(row: u32, unit: u32, sum: T, sum1: T, sum2: T, sum3: T, before: State) -> State {
  return State(activation(gatesX[row * UNITS + unit] + sum), T());
}
// What a step beyond the length of its row leaves.
fn cellRest(row: u32, unit: u32, before: State) {}
