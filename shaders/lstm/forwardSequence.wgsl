// uses: order.wgsl, math.wgsl
// LSTM layer (Hochreiter, Schmidhuber 1997; gates i, f, g, o as in PyTorch) over a whole sequence in one dispatch:
//   c' = f * c + i * g;  h' = o * tanh(c').
// The recurrence couples units but not batch rows, so a workgroup owns WIDTH rows, keeps their h in workgroup memory and
// walks through time with barriers only. A thread computes the four gates of WIDTH units, for one slice of the sum over k.
// gatesX [T, B, 4H] is the product with the input, biases included; gates [T, B, 4H] are kept, activated, for backward.
struct Params { T: u32, B: u32, start: u32, count: u32, reverse: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gatesX: array<T>;
@group(0) @binding(2) var<storage, read> h0: array<T>;
@group(0) @binding(3) var<storage, read> c0: array<T>;
@group(0) @binding(4) var<storage, read> weights: array<T>;
@group(0) @binding(5) var<storage, read_write> output: array<T>;
@group(0) @binding(6) var<storage, read_write> cells: array<T>;
@group(0) @binding(7) var<storage, read_write> gates: array<T>;
// Hidden size; units and batch rows that one thread works on (4 where T is vec4<f32> and Block is mat4x4<f32>, else 1);
// slices into which threads split the sum of the recurrent product.
const H: u32 = 32u;
const WIDTH: u32 = 1u;
const SLICES: u32 = 2u;
const UNITS: u32 = H / WIDTH;
const SIZE: u32 = UNITS * SLICES;
// WIDTH units of WIDTH batch rows: a column for each batch row.
alias Block = f32;
var<workgroup> hidden: array<Block, UNITS>;
var<workgroup> partial: array<Block, max(1u, (SLICES - 1u) * UNITS)>;
// WIDTH rows of W_hh [4H, H] from `row` on, at vector k of each.
fn weightBlock(row: u32, k: u32) -> Block { return weights[row * UNITS + k]; }
fn column(block: Block, row: u32) -> T { return block; }
fn blockOf(columns: array<T, WIDTH>) -> Block { return columns[0]; }
// The sum over slices, in order; whole in slice 0 only.
fn sumSlices(mine: Block, unit: u32, slice: u32) -> Block {
  if (SLICES == 1u) { return mine; }
  if (slice > 0u) { partial[(slice - 1u) * UNITS + unit] = mine; }
  workgroupBarrier();
  var total = mine;
  if (slice == 0u) {
    for (var s = 0u; s < SLICES - 1u; s++) { total += partial[s * UNITS + unit]; }
  }
  workgroupBarrier();
  return total;
}
fn timeOf(step: u32) -> u32 { return select(step, params.T - 1u - step, params.reverse == 1u); }
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let unit = lane / SLICES;
  let slice = lane % SLICES;
  let firstRow = linearGroup(group, num_workgroups) * WIDTH;
  let rows = min(WIDTH, max(params.B, firstRow) - firstRow);
  // h and c of the step before, of this thread's units; a chunk of a long sequence goes on from where the last one ended.
  var h: array<T, WIDTH>;
  var c: array<T, WIDTH>;
  if (slice == 0u) {
    let before = timeOf(max(params.start, 1u) - 1u);
    for (var r = 0u; r < rows; r++) {
      let at = (firstRow + r) * UNITS + unit;
      if (params.start == 0u) {
        h[r] = h0[at];
        c[r] = c0[at];
      } else {
        h[r] = output[before * params.B * UNITS + at];
        c[r] = cells[before * params.B * UNITS + at];
      }
    }
  }
  for (var step = params.start; step < params.start + params.count; step++) {
    if (slice == 0u) { hidden[unit] = blockOf(h); }
    workgroupBarrier();
    var sumI = Block();
    var sumF = Block();
    var sumG = Block();
    var sumO = Block();
    for (var k = slice; k < UNITS; k += SLICES) {
      let block = hidden[k];
      sumI += weightBlock(unit * WIDTH, k) * block;
      sumF += weightBlock(H + unit * WIDTH, k) * block;
      sumG += weightBlock(2u * H + unit * WIDTH, k) * block;
      sumO += weightBlock(3u * H + unit * WIDTH, k) * block;
    }
    workgroupBarrier();
    sumI = sumSlices(sumI, unit, slice);
    sumF = sumSlices(sumF, unit, slice);
    sumG = sumSlices(sumG, unit, slice);
    sumO = sumSlices(sumO, unit, slice);
    if (slice == 0u) {
      for (var r = 0u; r < rows; r++) {
        let row = timeOf(step) * params.B + firstRow + r;
        let at = row * 4u * UNITS + unit;
        let i = sigmoid(gatesX[at] + column(sumI, r));
        let f = sigmoid(gatesX[at + UNITS] + column(sumF, r));
        let g = safeTanh(gatesX[at + 2u * UNITS] + column(sumG, r));
        let o = sigmoid(gatesX[at + 3u * UNITS] + column(sumO, r));
        c[r] = f * c[r] + i * g;
        h[r] = o * safeTanh(c[r]);
        gates[at] = i;
        gates[at + UNITS] = f;
        gates[at + 2u * UNITS] = g;
        gates[at + 3u * UNITS] = o;
        cells[row * UNITS + unit] = c[r];
        output[row * UNITS + unit] = h[r];
      }
    }
  }
}
