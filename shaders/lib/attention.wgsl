// uses: order, philox, attentionElements
// What all attention kernels share: parameters, operands, hooks, scores. A kernel declares `result` (the rows it writes).
//
// Whether keys after the query are hidden.
const CAUSAL: bool = false;
// Whether there is a mask that hides keys.
const MASKED: bool = false;
// Whether hooks take the place of keyRange and queryRange.
const RANGED: bool = false;
// Where keys are hidden, they and their values are left out whatever they are: 0 · NaN would be NaN. Until then the weight and
// the slope of a hidden key are −0, which marks them; of others, what is 0 has no sign.
const HIDES: bool = CAUSAL || MASKED || RANGED;
const HIDDEN: f32 = -1e30; // the score of a key that does not count
const FLOOR: f32 = -1e20; // what the largest score of a row starts from: far above HIDDEN, so that hidden keys weigh nothing
const NOTHING: f32 = 1e-30; // a row whose weights add up to less has no key to see
struct Params {
  H: u32, L: u32, S: u32, D: u32,
  columns: u32, blocks: u32, // vec4 columns of a head, and four: uniforms, since compilers unroll loops of constant length
  scale: f32,
  // Strided operands, 0 where a kernel has none of that name.
  qOffset: u32, qBatch: u32, qHead: u32, qRow: u32,
  kOffset: u32, kBatch: u32, kHead: u32, kRow: u32,
  vOffset: u32, vBatch: u32, vHead: u32, vRow: u32,
  OOffset: u32, OBatch: u32, OHead: u32, ORow: u32,
  dOOffset: u32, dOBatch: u32, dOHead: u32, dORow: u32,
  dQOffset: u32, dQBatch: u32, dQHead: u32, dQRow: u32,
  dKOffset: u32, dKBatch: u32, dKHead: u32, dKRow: u32,
  dVOffset: u32, dVBatch: u32, dVHead: u32, dVRow: u32,
  maskOffset: u32, maskBatch: u32, maskHead: u32, maskRow: u32, maskKey: u32,
  dropout: f32, keepScale: f32, stream: u32,
  first: u32, end: u32, // what a dispatch walks over, where one of many has its part
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<Element>;
@group(0) @binding(2) var<storage, read> k: array<Element>;
@group(0) @binding(3) var<storage, read> v: array<Element>;

// Hook: the keys that queries may see, from the first to before the end; neither goes down from one query to the next. Lengths,
// windows and blocks are ranges.
struct KeyRange { first: vec4<u32>, end: vec4<u32> }
fn keyRange(batch: u32, head: u32, rows: vec4<u32>) -> KeyRange {
  return KeyRange(vec4<u32>(), select(vec4<u32>(params.S), min(rows + 1u, vec4<u32>(params.S)), vec4<bool>(CAUSAL)));
}
// Hook: the same from the other side, a range of queries that holds at least all that see a key.
struct QueryRange { first: u32, end: u32 }
fn queryRange(batch: u32, head: u32, key: u32) -> QueryRange { return QueryRange(select(0u, key, CAUSAL), params.L); }
// Hook: adds a bias to the scores of four query rows and one key; HIDDEN where it hides the key.
fn addBias(scores: vec4<f32>, batch: u32, head: u32, row: u32, key: u32) -> vec4<f32> { return scores; }
// Hook: what dropout multiplies the weights of four query rows and four keys by.
fn dropoutFactors(batch: u32, head: u32, row: u32, key: u32) -> mat4x4<f32> {
  return mat4x4<f32>(vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(1.0));
}
// Where four rows begin; those past the end are the last one again.
fn places(base: u32, row: u32, stride: u32, rows: u32) -> vec4<u32> {
  return base + min(row + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(rows - 1u)) * stride;
}
fn store(base: u32, column: u32, value: vec4<f32>) {
  for (var x = 0u; x < min(4u, params.D - 4u * column); x++) { result[base + 4u * column + x] = value[x]; }
}
// Whether this is one of several dispatches, each for its part of what a workgroup walks over: keys, or queries.
const SPLIT: bool = false;
// All that a workgroup walks over begins at `first`; this dispatch goes from `start` to before `end`. It is never nothing: the first
// step may be what sets a result.
struct Walk { first: u32, start: u32, end: u32 }
fn walkOf(first: u32, end: u32) -> Walk {
  if (SPLIT) { return Walk(first, max(first, params.first), min(max(end, first + 1u), params.end)); }
  return Walk(first, first, max(end, first + 1u));
}
// Over the keys that `count` query rows see, from a multiple of 32 on.
fn keyWalk(batch: u32, head: u32, row: u32, count: u32) -> Walk {
  let range = keyRange(batch, head, vec4<u32>(row, min(row + count, params.L) - 1u, 0u, 0u));
  return walkOf(min(range.first.x, params.S - 1u) / 32u * 32u, range.end.y);
}
// Over the queries that see `count` keys.
fn queryWalk(batch: u32, head: u32, key: u32, count: u32) -> Walk {
  let first = min(queryRange(batch, head, key).first, params.L - 1u);
  return walkOf(first, queryRange(batch, head, min(key + count, params.S) - 1u).end);
}
// Whether it goes on from what earlier ones have left.
fn resumes() -> bool { return SPLIT && params.first > 0u; }
fn loadResult(base: u32, column: u32) -> vec4<f32> {
  let i = base + 4u * column;
  return select(vec4<f32>(), vec4<f32>(result[i], result[i + 1u], result[i + 2u], result[i + 3u]), inside(column));
}
fn added(base: u32, column: u32, value: vec4<f32>) -> vec4<f32> {
  if (resumes()) { return value + loadResult(base, column); }
  return value;
}
// What four query rows see; nothing past the last one.
fn rangeOf(batch: u32, head: u32, row: u32) -> KeyRange {
  let rows = row + vec4<u32>(0u, 1u, 2u, 3u);
  let range = keyRange(batch, head, rows);
  return KeyRange(range.first, select(vec4<u32>(), range.end, rows < vec4<u32>(params.L)));
}
fn sees(range: KeyRange, key: u32) -> vec4<bool> {
  let isBefore = range.end > vec4<u32>(key);
  if (RANGED) { return isBefore & (range.first <= vec4<u32>(key)); }
  return isBefore;
}
// Scores from products q·k of four query rows (components) and four keys (columns); HIDDEN where a row does not see a key.
fn scoresOf(products: mat4x4<f32>, batch: u32, head: u32, row: u32, key: u32) -> mat4x4<f32> {
  let range = rangeOf(batch, head, row);
  let hidden = vec4<f32>(HIDDEN);
  return mat4x4<f32>(
    select(hidden, addBias(products[0] * params.scale, batch, head, row, key), sees(range, key)),
    select(hidden, addBias(products[1] * params.scale, batch, head, row, key + 1u), sees(range, key + 1u)),
    select(hidden, addBias(products[2] * params.scale, batch, head, row, key + 2u), sees(range, key + 2u)),
    select(hidden, addBias(products[3] * params.scale, batch, head, row, key + 3u), sees(range, key + 3u)),
  );
}
fn areNaN(x: vec4<f32>) -> vec4<bool> { return (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u); }
// The exponential of arguments ≤ 0; below -104 it is 0 in f32. NaN stays NaN, which SwiftShader's exp would make ∞.
fn decay(x: vec4<f32>) -> vec4<f32> { return select(exp(max(x, vec4<f32>(-104.0))), x, areNaN(x)); }
// exp(score - reference of the row): nothing for hidden keys, as long as the reference is FLOOR or more.
fn weigh(scores: mat4x4<f32>, reference: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(
    weightsOf(scores[0], reference),
    weightsOf(scores[1], reference),
    weightsOf(scores[2], reference),
    weightsOf(scores[3], reference),
  );
}
fn weightsOf(scores: vec4<f32>, reference: vec4<f32>) -> vec4<f32> {
  let weights = decay(scores - reference);
  if (HIDES) { return marked(weights, scores == vec4<f32>(HIDDEN)); }
  return weights;
}
// In bits, since compilers may take −0 for 0. Products with what is not negative keep the mark.
const MARK: vec4<u32> = vec4<u32>(0x80000000u);
fn marked(x: vec4<f32>, areHidden: vec4<bool>) -> vec4<f32> {
  return bitcast<vec4<f32>>(select(bitcast<vec4<u32>>(x), MARK, areHidden));
}
fn areMarked(x: vec4<f32>) -> vec4<bool> { return bitcast<vec4<u32>>(x) == MARK; }
// A row times its weight, or nothing where it is hidden.
fn taken(row: vec4<f32>, weight: f32) -> vec4<f32> {
  return select(row * weight, vec4<f32>(), bitcast<u32>(weight) == MARK.x);
}
// The bits of numbers but for their signs: INFINITE or more where they are not finite.
fn magnitudes(x: vec4<f32>) -> vec4<u32> { return bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu); }
const INFINITE: vec4<u32> = vec4<u32>(0x7f800000u);
// What the weights of a row are multiplied by and the log of what they add up to, given their sum: none for empty rows.
fn inverseOf(total: vec4<f32>) -> vec4<f32> {
  return select(1.0 / total, vec4<f32>(), total < vec4<f32>(NOTHING));
}
fn logSumOf(peak: vec4<f32>, total: vec4<f32>) -> vec4<f32> {
  return select(select(peak + log(total), total, areNaN(total)), vec4<f32>(-HIDDEN), total < vec4<f32>(NOTHING));
}
fn largest(x: mat4x4<f32>) -> vec4<f32> { return max(max(x[0], x[1]), max(x[2], x[3])); }
fn sum(x: mat4x4<f32>) -> vec4<f32> { return x[0] + x[1] + x[2] + x[3]; }
fn times(a: mat4x4<f32>, b: mat4x4<f32>) -> mat4x4<f32> { return mat4x4<f32>(a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]); }
fn scaled(x: mat4x4<f32>, factors: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(x[0] * factors.x, x[1] * factors.y, x[2] * factors.z, x[3] * factors.w);
}
