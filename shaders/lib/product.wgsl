// What the kernels of a product C = A·B share: parameters, bindings, settings, and how an operand is read.
//
// a: [...batch, M, K], b: [...batch, K, N], any strides where one of the last two is 1; output: dense [...batch, M, N].
// Rows and columns beyond the edge are read as they come (WebGPU keeps such reads harmless) and never stored.
// With params.splits > 1 slice s of K makes its own partial product: output is [splits, ...batch, M, N].
struct Params {
  M: u32, N: u32, K: u32,
  splits: u32, slice: u32,
  batches: u32, batch1: u32,
  aOffset: u32, aLead: u32, aBatch0: u32, aBatch1: u32,
  bOffset: u32, bLead: u32, bBatch0: u32, bBatch1: u32,
  sides: u32, sideRows: u32, sideColumns: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AElement>;
@group(0) @binding(2) var<storage, read> b: array<BElement>;
@group(0) @binding(3) var<storage, read_write> output: array<Output>;

// vec4<f32> where offset, strides and the contiguous extent are divisible by 4.
alias AElement = f32;
alias BElement = f32;
const A_VEC4: bool = false;
const B_VEC4: bool = false;
// Transposed: contiguous along M (of A), along K (of B).
const A_TRANSPOSED: bool = false;
const B_TRANSPOSED: bool = false;
// K is divisible by 4.
const K_WHOLE: bool = false;
// The operand whose sum along K rides along: 0 neither, 1 A, 2 B.
const SUMMED: u32 = 0u;

// Four columns of a row, or as many as there are.
fn storeColumns(product: u32, row: u32, column: u32, value: vec4<f32>) {
  store4((product * params.M + row) * params.N + column, value, params.N - column);
}

// Where a batch begins.
fn startA(batch: u32) -> u32 {
  return params.aOffset + batch / params.batch1 * params.aBatch0 + batch % params.batch1 * params.aBatch1;
}
fn startB(batch: u32) -> u32 {
  return params.bOffset + batch / params.batch1 * params.bBatch0 + batch % params.batch1 * params.bBatch1;
}

// A tile of the output: its slice of K and batch [splits, batches], first row and column, where those of its operands
// begin, and the steps along K.
struct Tile { product: u32, m: u32, n: u32, startOfA: u32, startOfB: u32, begin: u32, end: u32 }
fn tileCount(height: u32, width: u32) -> u32 {
  return (params.M + height - 1u) / height * ((params.N + width - 1u) / width) * params.splits * params.batches;
}
fn tileAt(index: u32, height: u32, width: u32) -> Tile {
  let rows = (params.M + height - 1u) / height;
  let columns = (params.N + width - 1u) / width;
  let product = index / (columns * rows);
  let batch = product % params.batches;
  let begin = product / params.batches * params.slice;
  return Tile(
    product, index / columns % rows * height, index % columns * width,
    startA(batch), startB(batch), begin, min(begin + params.slice, params.K));
}

// Four neighbours. The constructors make one text valid for both element types; only the branch that fits is compiled.
// Shifts, since SwiftShader divides vectors lane by lane.
fn readA(index: u32) -> vec4<f32> {
  if (A_VEC4) { return vec4<f32>(a[index >> 2u]); }
  return vec4<f32>(vec4<f32>(a[index]).x, vec4<f32>(a[index + 1u]).x, vec4<f32>(a[index + 2u]).x, vec4<f32>(a[index + 3u]).x);
}
fn readB(index: u32) -> vec4<f32> {
  if (B_VEC4) { return vec4<f32>(b[index >> 2u]); }
  return vec4<f32>(vec4<f32>(b[index]).x, vec4<f32>(b[index + 1u]).x, vec4<f32>(b[index + 2u]).x, vec4<f32>(b[index + 3u]).x);
}
