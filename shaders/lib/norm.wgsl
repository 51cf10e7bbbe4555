// What the forward kernels of layer norm (CENTRED), y = (x − mean) / σ · weight + bias, and RMS norm have in common.
//
// They read a row once for the sums of d and d², where d = x − near and `near` is the mean of its first Elements, and once
// more for the result. However large the mean is, little of the variance is lost in E [d²] − E [d]²: the mean of k of n
// numbers is within σ √(n/k − 1) of the mean of all of them, so E [d²] is at most n/k times the variance.
//
// 1: output, 2: statistics [rows] of (mean, 1/σ), 3: source, then weight and bias where `gain` and `shift` read them.
// `store` is the epilogue.
alias Result = f32;
const CENTRED: bool = true;

// n: Elements of a row; a lane has `pieces` pieces of it.
struct Params { rows: u32, n: u32, E: u32, pieces: u32, eps: f32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Result>;
@group(0) @binding(2) var<storage, read_write> statistics: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> source: array<Element>;

fn gain(e: u32) -> Element { return Element(1.0); }
fn shift(e: u32) -> Element { return Element(0.0); }
fn store(index: u32, value: f32) { output[index] = value; }
fn write(index: u32, value: Element) { store(index, value); }

// The mean of the first four Elements of a row; of a shorter one the last counts again.
fn nearOf(start: u32) -> f32 {
  if (!CENTRED) { return 0.0; }
  let last = params.n - 1u;
  let low = source[start] + source[start + min(1u, last)];
  let high = source[start + min(2u, last)] + source[start + min(3u, last)];
  return sumOf(low + high) * f32(params.n) / f32(4u * params.E);
}
// 1/σ from the variance, which may come out below 0.
fn deviationOf(variance: f32) -> f32 { return inverseSqrt(keepNaN(max(variance, 0.0), variance) + params.eps); }

// Whether rows whose squares overflow are computed again, which a lane does alone for the whole row; else they become NaN.
const LARGE: bool = true;
// What brings numbers of any size down to such that have squares.
fn shrinkOf(variance: f32) -> f32 { return select(8.271806125530277e-25, 1.0, isFinite(variance)); }
// A row in numbers that are `shrink` times as large, from the start. Writes every `step`th Element from `first` on, and gives the
// row's statistics.
fn wholeRow(start: u32, first: u32, step: u32, shrink: f32) -> vec2<f32> {
  let end = start + params.n;
  var mean = 0.0;
  var deviation = notANumber();
  if (LARGE) {
    if (CENTRED) {
      for (var at = start; at < end; at++) { mean += sumOf(source[at] * shrink); }
      mean /= f32(params.E);
    }
    var squares = 0.0;
    for (var at = start; at < end; at++) {
      let d = source[at] * shrink - mean;
      squares += sumOf(d * d);
    }
    // All elements may be equal, and eps may be nothing beside them.
    let variance = squares / f32(params.E) + params.eps * shrink * shrink;
    deviation = inverseSqrt(keepNaN(max(variance, 1e-37), variance));
  }
  for (var e = first; e < params.n; e += step) { write(start + e, (source[start + e] * shrink - mean) * deviation * gain(e) + shift(e)); }
  return vec2<f32>(mean / shrink, deviation * shrink);
}
