// What the kernels share that update all parameters in one flat buffer, where groups of parameters have settings of their
// own, and each parameter counts its own steps. A kernel declares `struct Hyper` and `hyper: array<Hyper>`, a row to a group.
// Vector: vec4<f32> (WIDTH 4), or f32 (WIDTH 1) where the number of elements is no multiple of four.
alias Vector = f32;
alias Bits = u32; // of a Vector
const SIZE: u32 = 256u;
const WIDTH: u32 = 1u;
const VECTORS: u32 = 1u; // of one invocation; all belong to one parameter
const BLOCK: u32 = 64u; // each parameter starts at a multiple of so many elements
const WHOLE: bool = false; // no invocation lies past the end

struct Params { elements: u32, members: u32, groups: u32, finding: u32, firstBlock: u32 }
@group(0) @binding(0) var<uniform> params: Params;

// The step that an element takes: its number (the first is 1), the factor of the gradients, the group of its settings.
// Where it does not run, because the submit has failed or the parameter has no gradient, nothing may be written.
struct Turn { step: f32, scale: f32, group: u32, runs: bool }
fn turnOf(element: u32) -> Turn { return Turn(1.0, 1.0, 0u, true); }

// Groups lie one after another, each up to its `end` in blocks: the first that ends behind an element is its own.
fn groupOf(element: u32) -> u32 {
  var first = 0u;
  var last = params.groups - 1u;
  while (first < last) {
    let middle = (first + last) / 2u;
    if (element / BLOCK < u32(hyper[middle].end)) { last = middle; } else { first = middle + 1u; }
  }
  return first;
}

// Counts the step for one of the parameters, where they all take it together; there are more invocations than parameters.
fn countStep(index: u32) {}

// Magnitudes as bits, of which an invocation keeps the greatest that it has written.
fn magnitude(x: Vector) -> Bits { return bitcast<Bits>(x) & Bits(0x7fffffffu); }
fn greatest(x: Bits) -> u32 { return x; }

// Tells where something that was written from `element` on, a whole number of VECTORS in one block, is not finite: what is made
// with a gradient that is not finite never is.
fn tellOf(written: Bits, element: u32) {
  if (greatest(written) >= NOT_FINITE) {
    tell(findingIn(params.firstBlock + element / BLOCK, isOfGradient(element)));
  }
}
// Whether a gradient was not finite as it came.
fn isOfGradient(element: u32) -> bool {
  var met = Bits(0u);
  for (var own = 0u; own < VECTORS; own++) {
    if (element + own * WIDTH >= params.elements) { break; }
    met = max(met, magnitude(gradients[element / WIDTH + own]));
  }
  return greatest(met) >= NOT_FINITE;
}
fn tell(finding: u32) {}

// 1 − βᵗ, given t and ln β: e^x = 2^k·(1 + r·P(r)) with x = t·ln β = k·ln 2 + r and |r| ≤ ln 2/2, P the series of
// (eʳ − 1)/r to r⁶, whose rest is below 2e-8 of it. Where x is near 0 then k = 0, and nothing cancels.
fn undecayed(step: f32, logBeta: f32) -> f32 {
  let x = max(step * logBeta, -60.0);
  let k = round(x * 1.44269504);
  let r = (x - k * 0.693359375) + k * 2.12194440e-4;
  let series = 1.0 + r * (0.5 + r * (0.16666667 + r * (0.041666668 + r * (8.3333333e-3 + r * (1.3888889e-3 + r * 1.9841270e-4)))));
  let power = bitcast<f32>(u32(127 + i32(k)) << 23u);
  return (1.0 - power) - power * (r * series);
}
