// uses: lstmCell, recurrentGradient
// The gradient of a layer of LSTM cells, from what lstmForward.wgsl keeps.
@group(0) @binding(4) var<storage, read> gates: array<T>;
@group(0) @binding(5) var<storage, read> cells: array<T>;
@group(0) @binding(6) var<storage, read> c0: array<T>;
// The gradient of the last c.
fn lastDC(at: u32) -> T { return T(); }
fn cellBack(row: u32, rowBefore: u32, state: u32, unit: u32, hasBefore: bool, dH: T, dC: T) -> Gradient {
  let at = row * 4u * UNITS + unit;
  let left = Gates(gates[at], gates[at + UNITS], gates[at + 2u * UNITS], gates[at + 3u * UNITS]);
  var before = c0[state];
  if (hasBefore) { before = cells[rowBefore * UNITS + unit]; }
  var d = cellGradient(left, cells[row * UNITS + unit], before, dH, dC);
  var dHBefore = T();
  if (HAS_LENGTHS && any(left.i < T())) {
    d = CellGradient(Gates(), dC);
    dHBefore = dH;
  }
  dGates[at] = d.gates.i;
  dGates[at + UNITS] = d.gates.f;
  dGates[at + 2u * UNITS] = d.gates.g;
  dGates[at + 3u * UNITS] = d.gates.o;
  return Gradient(d.gates.i, d.gates.f, d.gates.g, d.gates.o, dHBefore, d.c);
}
