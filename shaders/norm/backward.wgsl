// uses: order.wgsl
// Gradients of layer norm (CENTRED) and RMS norm. With g = dy · weight and x̂ = (x − mean) / σ,
//   dx = (g − mean(g) − x̂ · mean(g x̂)) / σ, mean(g) only where CENTRED;   dweight = Σ dy x̂,   dbias = Σ dy over rows.
// A workgroup takes `block` rows, twice: along rows for the two means, LANES lanes to a row, then along columns for dx
// and its rows' share of dweight and dbias, which `keep` writes to partials [groups, weight + bias, E]. A sum over the
// groups (reduce/columns) follows.
// 1: output, 2: source, 3: statistics [rows] of (mean, 1/σ), 4: dy, then weight where `gain` reads it, then partials.
// Element is vec4<f32> where E is a multiple of four; n and all indices then count vectors. `store` is the epilogue of dx.
alias Element = f32;
alias Result = f32;
const SIZE: u32 = 256u;
const LANES: u32 = 32u;
const CENTRED: bool = true;
const FAN: u32 = 8u;
const MOST_ROWS: u32 = 64u;

struct Params { rows: u32, n: u32, E: u32, block: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Result>;
@group(0) @binding(2) var<storage, read> source: array<Element>;
@group(0) @binding(3) var<storage, read> statistics: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read> dy: array<Element>;

var<workgroup> partial: array<vec2<f32>, SIZE>;
// mean(g) and mean(g x̂) of the rows of the block.
var<workgroup> means: array<vec2<f32>, MOST_ROWS>;

fn sumOf(v: Element) -> f32 { return v; }
fn gain(e: u32) -> Element { return Element(1.0); }
fn keep(group: u32, e: u32, weight: Element, bias: Element) {}
fn store(index: u32, value: f32) { output[index] = value; }
fn write(index: u32, value: Element) { store(index, value); }

// The sum over the lanes of a row, known to the first of them.
fn rowSum(lane: u32, own: vec2<f32>) -> vec2<f32> {
  if (LANES == 1u) { return own; }
  let along = lane % LANES;
  var sum = own;
  partial[lane] = sum;
  workgroupBarrier();
  // Lane k of the first FAN gathers k, k + FAN, …: no other lane touches those.
  if (along < FAN) {
    for (var k = FAN; along + k < LANES; k += FAN) { sum += partial[lane + k]; }
    partial[lane] = sum;
  }
  workgroupBarrier();
  if (along == 0u) {
    for (var k = 1u; k < min(FAN, LANES); k++) { sum += partial[lane + k]; }
  }
  return sum;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups);
  let along = lane % LANES;
  let first = group * params.block;
  let rows = min(params.block, max(params.rows, first) - first);

  for (var base = 0u; base < params.block; base += SIZE / LANES) {
    let r = base + lane / LANES;
    let inside = r < rows;
    var own = vec2<f32>(0.0);
    if (inside) {
      let start = (first + r) * params.n;
      let row = statistics[first + r];
      var g = Element(0.0);
      var gx = Element(0.0);
      for (var j = along; j < params.n; j += LANES) {
        let d = dy[start + j] * gain(j);
        g += d;
        gx += d * (source[start + j] - row.x) * row.y;
      }
      own = vec2<f32>(select(0.0, sumOf(g), CENTRED), sumOf(gx));
    }
    let sums = rowSum(lane, own) / f32(params.E);
    if (inside && along == 0u) { means[r] = sums; }
    // Before the next rows overwrite partial, and before columns read the means.
    workgroupBarrier();
  }

  for (var e = lane; e < params.n; e += SIZE) {
    let weight = gain(e);
    var dWeight = Element(0.0);
    var dBias = Element(0.0);
    for (var r = 0u; r < rows; r++) {
      let index = (first + r) * params.n + e;
      let row = statistics[first + r];
      let x = (source[index] - row.x) * row.y;
      let d = dy[index];
      dWeight += d * x;
      dBias += d;
      write(index, (d * weight - means[r].x - x * means[r].y) * row.y);
    }
    if (first < params.rows) { keep(group, e, dWeight, dBias); }
  }
}
