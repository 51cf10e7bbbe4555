// uses: math
// The cell of an LSTM (Hochreiter, Schmidhuber 1997; gates i, f, g, o as in PyTorch) and its gradient:
//   c' = f * c + i * g;  h' = o * tanh(c').
struct Gates { i: T, f: T, g: T, o: T }
// What a step leaves: the gates as its gradient wants them, h and c.
struct Cell { gates: Gates, h: T, c: T }
// From the gates before their activations, and c before.
fn cellOf(sums: Gates, c: T) -> Cell {
  let i = sigmoid(sums.i);
  let f = sigmoid(sums.f);
  let g = safeTanh(sums.g);
  let o = sigmoid(sums.o);
  let next = f * c + i * g;
  return Cell(Gates(i, f, g, o), o * safeTanh(next), next);
}
// Gradients of the gates before their activations, and of c before.
struct CellGradient { gates: Gates, c: T }
// From the gates and c that a step has left, c before, and the gradients of h and c.
fn cellGradient(gates: Gates, c: T, before: T, dH: T, dC: T) -> CellGradient {
  let tanhC = safeTanh(c);
  let d = dC + dH * gates.o * (T(1.0) - tanhC * tanhC);
  return CellGradient(
    Gates(
      d * gates.g * gates.i * (T(1.0) - gates.i),
      d * before * gates.f * (T(1.0) - gates.f),
      d * gates.i * (T(1.0) - gates.g * gates.g),
      dH * tanhC * gates.o * (T(1.0) - gates.o),
    ),
    d * gates.f,
  );
}
