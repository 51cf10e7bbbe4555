// uses: lstmCell
// A layer of LSTM cells. gates [T, B, 4H] are kept, activated, for backward; a step beyond a row's length keeps an i of -1.
@group(0) @binding(5) var<storage, read> c0: array<T>;
@group(0) @binding(6) var<storage, read_write> cells: array<T>;
@group(0) @binding(7) var<storage, read_write> gates: array<T>;
fn firstC(at: u32) -> T { return c0[at]; }
fn cAt(at: u32) -> T { return cells[at]; }
fn cellStep(row: u32, unit: u32, i: T, f: T, g: T, o: T, before: State) -> State {
  let at = row * 4u * UNITS + unit;
  let sums = Gates(gatesX[at] + i, gatesX[at + UNITS] + f, gatesX[at + 2u * UNITS] + g, gatesX[at + 3u * UNITS] + o);
  let next = cellOf(sums, before.c);
  gates[at] = next.gates.i;
  gates[at + UNITS] = next.gates.f;
  gates[at + 2u * UNITS] = next.gates.g;
  gates[at + 3u * UNITS] = next.gates.o;
  cells[row * UNITS + unit] = next.c;
  return State(next.h, next.c);
}
fn cellRest(row: u32, unit: u32, before: State) {
  for (var gate = 0u; gate < 4u; gate++) { gates[(row * 4u + gate) * UNITS + unit] = T(-1.0); }
  cells[row * UNITS + unit] = before.c;
}
