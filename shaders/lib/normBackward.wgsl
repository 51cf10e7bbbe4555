// What the gradient kernels of layer norm (CENTRED) and RMS norm have in common. With g = dy · weight and x̂ = (x − mean) / σ,
//   dx = (g − mean(g) − x̂ · mean(g x̂)) / σ, mean(g) only where CENTRED;   dweight = Σ dy x̂,   dbias = Σ dy over rows.
// A workgroup takes `block` rows and gives its share of dweight and dbias, which `storePartials` writes to partials
// [groups, weight + bias, E]; a sum over the groups (reduce/columns) follows.
//
// 1: output, 2: source, 3: statistics [rows] of (mean, 1/σ), 4: dy, then weight where `gain` reads it, then partials.
// `store` is the epilogue of dx.
alias Result = f32;
const CENTRED: bool = true;

// n: Elements of a row; a lane has `pieces` pieces of it.
struct Params { rows: u32, n: u32, E: u32, pieces: u32, block: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Result>;
@group(0) @binding(2) var<storage, read> source: array<Element>;
@group(0) @binding(3) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> dy: array<Element>;

fn gain(e: u32) -> Element { return Element(1.0); }
fn storePartials(group: u32, e: u32, weight: Element, bias: Element) {}
// What `storePartials` has written.
fn partialWeight(group: u32, e: u32) -> Element { return Element(0.0); }
fn partialBias(group: u32, e: u32) -> Element { return Element(0.0); }
fn store(index: u32, value: f32) { output[index] = value; }
fn write(index: u32, value: Element) { store(index, value); }
