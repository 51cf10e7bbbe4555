// What all attention kernels share: operands, hooks, scores. A kernel declares Params and `result` (the rows it writes).
//
// The head size, whether keys after the query are hidden, and the element type of the buffers of rows: f32, or
// vec4<f32> (with the load and store hooks replaced) where D, strides and offsets are multiples of four.
const D: u32 = 64u;
const CAUSAL: bool = false;
alias Element = f32;
const HIDDEN: f32 = -1e30; // the score of a key that does not count
const MASKED: f32 = -1e8; // scores below this are hidden: additive masks use -1e9 and lower
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;

// Hook: scores of four query rows and one key, plus the additive mask.
fn addMask(scores: vec4<f32>, batch: u32, head: u32, row: u32, key: u32) -> vec4<f32> { return scores; }
// Hook: what dropout multiplies the weights of four query rows and four keys by.
fn dropoutFactors(batch: u32, head: u32, row: u32, key: u32) -> mat4x4<f32> {
  return mat4x4<f32>(vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(1.0));
}
fn inside(column: u32) -> vec4<bool> { return 4u * column + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(D); }
fn loadQ(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(q[i], q[i + 1u], q[i + 2u], q[i + 3u]), inside(column));
}
fn loadK(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(k[i], k[i + 1u], k[i + 2u], k[i + 3u]), inside(column));
}
fn loadV(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(v[i], v[i + 1u], v[i + 2u], v[i + 3u]), inside(column));
}
fn store(base: u32, column: u32, value: vec4<f32>) {
  for (var x = 0u; x < min(4u, D - 4u * column); x++) { result[base + 4u * column + x] = value[x]; }
}
// Scores of four query rows and one key; HIDDEN where the key is masked, or row or key lie outside.
fn finishScores(products: vec4<f32>, batch: u32, head: u32, row: u32, key: u32) -> vec4<f32> {
  let rows = row + vec4<u32>(0u, 1u, 2u, 3u);
  let scores = addMask(products * params.scale, batch, head, row, key);
  let outside = (rows >= vec4<u32>(params.L)) | vec4<bool>(key >= params.S) | (vec4<bool>(CAUSAL) & (rows < vec4<u32>(key)));
  return select(scores, vec4<f32>(HIDDEN), outside | (scores < vec4<f32>(MASKED)));
}
// exp(score - reference), exactly 0 for hidden keys.
fn weigh(scores: vec4<f32>, reference: vec4<f32>) -> vec4<f32> {
  return select(exp(max(scores - reference, vec4<f32>(-100.0))), vec4<f32>(), scores <= vec4<f32>(HIDDEN));
}
