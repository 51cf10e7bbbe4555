// uses: order.wgsl, math.wgsl
// Gradient of an LSTM layer over a whole sequence in one dispatch: forwardSequence.wgsl backwards in time.
// A workgroup owns WIDTH batch rows, a thread WIDTH units of them. With dh and dc from the step after,
//   do = dh * tanh(c);  dc += dh * o * (1 - tanh(c)^2);  di = dc * g;  df = dc * c_before;  dg = dc * i;  dc_before = dc * f,
// then dGates through the activations, then dh_before = dGates . W_hh: gate by gate, so that workgroup memory holds one.
// dStateN [2, B, H] is the gradient of the last h and c, dState [2, B, H] that of h0 and c0; between the chunks of a long
// sequence dState carries both.
struct Params { T: u32, B: u32, start: u32, count: u32, reverse: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dStateN: array<T>;
@group(0) @binding(2) var<storage, read> gates: array<T>;
@group(0) @binding(3) var<storage, read> cells: array<T>;
@group(0) @binding(4) var<storage, read> c0: array<T>;
@group(0) @binding(5) var<storage, read> weights: array<T>;
@group(0) @binding(6) var<storage, read_write> dGates: array<T>;
@group(0) @binding(7) var<storage, read_write> dState: array<T>;
@group(0) @binding(8) var<storage, read> dOutput: array<T>;
// Hidden size; units and batch rows that one thread works on (4 where T is vec4<f32> and Block is mat4x4<f32>, else 1);
// slices into which threads split the sum of the recurrent product.
const H: u32 = 32u;
const WIDTH: u32 = 1u;
const SLICES: u32 = 2u;
const UNITS: u32 = H / WIDTH;
const SIZE: u32 = UNITS * SLICES;
// WIDTH units of WIDTH batch rows: a column for each batch row.
alias Block = f32;
// The gradient of the output; a fused producer puts its own bindings in its place and replaces both functions.
fn load(index: u32) -> f32 { return dOutput[index]; }
fn outputGradient(at: u32) -> T { return load(at); }
// Gradient of one pre-activation gate.
var<workgroup> gradient: array<Block, UNITS>;
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
  return total;
}
// Time of a step of the forward pass.
fn timeOf(step: u32) -> u32 { return select(step, params.T - 1u - step, params.reverse == 1u); }
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let unit = lane / SLICES;
  let slice = lane % SLICES;
  let firstRow = linearGroup(group, num_workgroups) * WIDTH;
  let rows = min(WIDTH, max(params.B, firstRow) - firstRow);
  let stateSize = params.B * UNITS;
  var dh: array<T, WIDTH>;
  var dc: array<T, WIDTH>;
  if (slice == 0u) {
    for (var r = 0u; r < rows; r++) {
      let at = (firstRow + r) * UNITS + unit;
      if (params.start == 0u) {
        dh[r] = dStateN[at];
        dc[r] = dStateN[stateSize + at];
      } else {
        dh[r] = dState[at];
        dc[r] = dState[stateSize + at];
      }
    }
  }
  for (var done = params.start; done < params.start + params.count; done++) {
    let step = params.T - 1u - done;
    let t = timeOf(step);
    let before = timeOf(max(step, 1u) - 1u);
    var dGate: array<array<T, WIDTH>, 4>;
    if (slice == 0u) {
      for (var r = 0u; r < rows; r++) {
        let row = t * params.B + firstRow + r;
        let at = row * 4u * UNITS + unit;
        let i = gates[at];
        let f = gates[at + UNITS];
        let g = gates[at + 2u * UNITS];
        let o = gates[at + 3u * UNITS];
        let state = (firstRow + r) * UNITS + unit;
        var cBefore = c0[state];
        if (step > 0u) { cBefore = cells[before * stateSize + state]; }
        let tanhC = safeTanh(cells[t * stateSize + state]);
        let dH = dh[r] + outputGradient(t * stateSize + state);
        let dC = dc[r] + dH * o * (T(1.0) - tanhC * tanhC);
        dGate[0][r] = dC * g * i * (T(1.0) - i);
        dGate[1][r] = dC * cBefore * f * (T(1.0) - f);
        dGate[2][r] = dC * i * (T(1.0) - g * g);
        dGate[3][r] = dH * tanhC * o * (T(1.0) - o);
        dc[r] = dC * f;
        for (var gate = 0u; gate < 4u; gate++) { dGates[at + gate * UNITS] = dGate[gate][r]; }
      }
    }
    var sum = Block();
    for (var gate = 0u; gate < 4u; gate++) {
      if (slice == 0u) { gradient[unit] = blockOf(dGate[gate]); }
      workgroupBarrier();
      for (var j = slice; j < UNITS; j += SLICES) { sum += weightBlock(gate * H + j * WIDTH, unit) * gradient[j]; }
      workgroupBarrier();
    }
    sum = sumSlices(sum, unit, slice);
    for (var r = 0u; r < WIDTH; r++) { dh[r] = column(sum, r); }
  }
  if (slice == 0u) {
    for (var r = 0u; r < rows; r++) {
      let at = (firstRow + r) * UNITS + unit;
      dState[at] = dh[r];
      dState[stateSize + at] = dc[r];
    }
  }
}
