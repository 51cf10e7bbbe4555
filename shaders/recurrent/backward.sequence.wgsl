// uses: order, recurrent, recurrentSequence, rnnBackward
// Gradient of a recurrent layer over a whole sequence in one dispatch: forward.sequence.wgsl backwards in time.
// A workgroup owns ROWS batch rows, a thread BLOCKS times WIDTH units of them. With dh (and dc) from the step after, the gradient
// of the cell gives that of h's share of the gates; then dh_before = dGates . W_hh.
// dState [1 or 2, B, H] is the gradient of h0 (and c0); between the chunks of a long sequence it carries dh (and dc).
@group(0) @binding(1) var<storage, read> weights: array<T>;
@group(0) @binding(2) var<storage, read_write> dGates: array<T>;
@group(0) @binding(3) var<storage, read_write> dState: array<T>;
@group(0) @binding(5) var<storage, read> dOutput: array<T>;
// Blocks of units that a thread works on, 1, 2 or 4 where there is one slice.
const BLOCKS: u32 = 1u;
// From one block of a thread to its next.
const STRIDE: u32 = UNITS / BLOCKS;
const SIZE: u32 = STRIDE * SLICES;
// Vectors of units that a thread finishes: BLOCKS of each row.
const OWN: u32 = select(1u, ROWS * BLOCKS, SLICES == 1u);
const OWN_C: u32 = select(1u, OWN, HAS_C);
// Gates whose gradients are exchanged together: all, where the slices' sums take that much memory anyhow.
const TOGETHER: u32 = select(1u, GATES, SLICES >= 4u);
// Gradients of gates [TOGETHER, UNITS, ROWS]; then the sums [WIDTH rows, UNITS, SLICES] of dh.
var<workgroup> exchange: array<T, ROWS * UNITS * SLICES>;
// The gradient of the output; a fused producer puts its own bindings in its place and replaces both functions.
fn load(index: u32) -> f32 { return dOutput[index]; }
fn outputGradient(at: u32) -> T { return load(at); }
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let firstUnit = lane / SLICES;
  let slice = lane % SLICES;
  let firstRow = linearGroup(group, num_workgroups) * ROWS;
  let rows = min(ROWS, max(params.B, firstRow) - firstRow);
  let stateSize = params.B * UNITS;
  // Vector n of the `own` that this thread finishes is block n % BLOCKS of row `first` + n / BLOCKS.
  let own = select(select(0u, 1u, slice < rows), BLOCKS * rows, SLICES == 1u);
  let first = firstRow + slice;
  var dh: array<T, OWN>;
  var dc: array<T, OWN_C>;
  for (var n = 0u; n < own; n++) {
    let at = (first + n / BLOCKS) * UNITS + firstUnit + n % BLOCKS * STRIDE;
    if (params.start == 0u) {
      if (HAS_C) { dc[n] = lastDC(at); }
    } else {
      dh[n] = dState[at];
      if (HAS_C) { dc[n] = dState[stateSize + at]; }
    }
  }
  for (var done = params.start; done < params.start + params.count; done++) {
    let now = params.T - 1u - done;
    let t = timeOf(now);
    let before = timeOf(max(now, 1u) - 1u);
    var dGate: array<array<T, OWN>, 4>;
    for (var n = 0u; n < own; n++) {
      let row = first + n / BLOCKS;
      let unit = firstUnit + n % BLOCKS * STRIDE;
      let state = row * UNITS + unit;
      let dH = dh[n] + outputGradient(t * stateSize + state);
      var dC = T();
      if (HAS_C) { dC = dc[n]; }
      let d = cellBack(t * params.B + row, before * params.B + row, state, unit, now > 0u, dH, dC);
      dGate[0][n] = d.gate0;
      if (GATES > 1u) { dGate[1][n] = d.gate1; }
      if (GATES > 2u) { dGate[2][n] = d.gate2; }
      if (GATES > 3u) { dGate[3][n] = d.gate3; }
      if (PASSES) { dh[n] = d.h; }
      if (HAS_C) { dc[n] = d.c; }
    }
    var sum0 = Rows();
    var sum1 = Rows();
    var sum2 = Rows();
    var sum3 = Rows();
    for (var gate = 0u; gate < GATES; gate += TOGETHER) {
      for (var n = 0u; n < own; n++) {
        let at = (firstUnit + n % BLOCKS * STRIDE) * ROWS + slice + n / BLOCKS;
        for (var g = 0u; g < TOGETHER; g++) { exchange[g * H + at] = dGate[gate + g][n]; }
      }
      workgroupBarrier();
      for (var j = slice; j < TOGETHER * UNITS; j += SLICES) {
        let block = exchangedRows(j);
        let row = gate * H + j * WIDTH;
        sum0 = addRows(sum0, weightBlock(row, firstUnit), block);
        if (BLOCKS > 1u) { sum1 = addRows(sum1, weightBlock(row, firstUnit + STRIDE), block); }
        if (BLOCKS > 2u) {
          sum2 = addRows(sum2, weightBlock(row, firstUnit + 2u * STRIDE), block);
          sum3 = addRows(sum3, weightBlock(row, firstUnit + 3u * STRIDE), block);
        }
      }
      workgroupBarrier();
    }
    var sums = array<Rows, 4>(wholeRows(sum0, lane), sum1, sum2, sum3);
    for (var n = 0u; n < own; n++) {
      let sum = rowOf(sums[n % BLOCKS], n / BLOCKS);
      if (PASSES) { dh[n] += sum; } else { dh[n] = sum; }
    }
  }
  for (var n = 0u; n < own; n++) {
    let at = (first + n / BLOCKS) * UNITS + firstUnit + n % BLOCKS * STRIDE;
    dState[at] = dh[n];
    if (HAS_C) { dState[stateSize + at] = dc[n]; }
  }
}
