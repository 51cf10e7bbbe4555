// What the kernels share that update all parameters in one flat buffer, in which groups of parameters have settings
// of their own. A kernel declares `struct Hyper` and `hyper: array<Hyper, GROUPS>`.
// Vector: vec4<f32> (WIDTH 4), or f32 (WIDTH 1) where a group's end is no multiple of four.
alias Vector = f32;
const SIZE: u32 = 256u;
const WIDTH: u32 = 1u;
const WHOLE: bool = false; // no invocation lies past the end
const GROUPS: u32 = 8u;

struct Params {
  elements: u32,
  end0: u32, end1: u32, end2: u32, end3: u32, end4: u32, end5: u32, end6: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

// Groups lie one after another; group g ends before element end_g. Indices that are constants are loaded once for all lanes.
fn settingsOf(element: u32) -> Hyper {
  var h = hyper[0];
  if (GROUPS > 1u && element >= params.end0) { h = hyper[min(1u, GROUPS - 1u)]; }
  if (GROUPS > 2u && element >= params.end1) { h = hyper[min(2u, GROUPS - 1u)]; }
  if (GROUPS > 3u && element >= params.end2) { h = hyper[min(3u, GROUPS - 1u)]; }
  if (GROUPS > 4u && element >= params.end3) { h = hyper[min(4u, GROUPS - 1u)]; }
  if (GROUPS > 5u && element >= params.end4) { h = hyper[min(5u, GROUPS - 1u)]; }
  if (GROUPS > 6u && element >= params.end5) { h = hyper[min(6u, GROUPS - 1u)]; }
  if (GROUPS > 7u && element >= params.end6) { h = hyper[min(7u, GROUPS - 1u)]; }
  return h;
}

// The factor of gradient clipping, where there is one.
fn gradientScale() -> f32 { return 1.0; }
