// uses: math, recurrentGradient
// The gradient of a layer of plain units, from the states that rnnForward.wgsl leaves. It shows what a cell has to say.
@group(0) @binding(4) var<storage, read> hidden: array<T>;
// The gradient of the last c. That of the last h is one of the output's.
fn lastDC(at: u32) -> T { return T(); }
fn slope(h: T) -> T { return T(1.0) - h * h; }
// A step backwards, which stores the gradients of its gates. `row` and `rowBefore` are the row's places in [T, B] at this step and the
// one before, `state` its vector in a state [B, H].
fn cellBack(row: u32, rowBefore: u32, state: u32, unit: u32, hasBefore: bool, dH: T, dC: T) -> Gradient {
  let at = row * UNITS + unit;
  var d = dH * slope(hidden[at]);
  var dHBefore = T();
  if (HAS_LENGTHS && row / params.B >= lengthOf(row % params.B)) {
    d = T();
    dHBefore = dH;
  }
  dGates[at] = d;
  return Gradient(d, T(), T(), T(), dHBefore, T());
}
