// uses: order, lstm, lstmCell, lstmSequence
// Gradient of an LSTM layer over a whole sequence in one dispatch: forward.sequence.wgsl backwards in time.
// A workgroup owns WIDTH batch rows, a thread BLOCKS times WIDTH units of them. With dh and dc from the step after, the gradient
// of the cell gives dGates and dc_before; then dh_before = dGates . W_hh.
// dStateN [2, B, H] is the gradient of the last h and c, dState [2, B, H] that of h0 and c0; between the chunks of a long
// sequence dState carries both.
@group(0) @binding(1) var<storage, read> dStateN: array<T>;
@group(0) @binding(2) var<storage, read> gates: array<T>;
@group(0) @binding(3) var<storage, read> cells: array<T>;
@group(0) @binding(4) var<storage, read> c0: array<T>;
@group(0) @binding(5) var<storage, read> weights: array<T>;
@group(0) @binding(6) var<storage, read_write> dGates: array<T>;
@group(0) @binding(7) var<storage, read_write> dState: array<T>;
@group(0) @binding(8) var<storage, read> dOutput: array<T>;
// Blocks of units that a thread works on, 1, 2 or 4 where there is one slice.
const BLOCKS: u32 = 1u;
// From one block of a thread to its next.
const STRIDE: u32 = UNITS / BLOCKS;
const SIZE: u32 = STRIDE * SLICES;
// Vectors of units that a thread finishes: BLOCKS of each row.
const OWN: u32 = select(1u, WIDTH * BLOCKS, SLICES == 1u);
// Gates whose gradients are exchanged together: all, where the slices' sums take that much memory anyhow.
const TOGETHER: u32 = select(1u, 4u, SLICES >= 4u);
// Gradients of pre-activation gates [TOGETHER, UNITS, WIDTH rows]; then the sums [WIDTH rows, UNITS, SLICES] of dh.
var<workgroup> exchange: array<T, WIDTH * UNITS * SLICES>;
// The gradient of the output; a fused producer puts its own bindings in its place and replaces both functions.
fn load(index: u32) -> f32 { return dOutput[index]; }
fn outputGradient(at: u32) -> T { return load(at); }
fn gradientBlock(j: u32) -> Block { return exchange[j]; }
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let firstUnit = lane / SLICES;
  let slice = lane % SLICES;
  let firstRow = linearGroup(group, num_workgroups) * WIDTH;
  let rows = min(WIDTH, max(params.B, firstRow) - firstRow);
  let stateSize = params.B * UNITS;
  // Vector n of the `own` that this thread finishes is block n % BLOCKS of row `first` + n / BLOCKS.
  let own = select(select(0u, 1u, slice < rows), BLOCKS * rows, SLICES == 1u);
  let first = firstRow + slice;
  var dh: array<T, OWN>;
  var dc: array<T, OWN>;
  for (var n = 0u; n < own; n++) {
    let at = (first + n / BLOCKS) * UNITS + firstUnit + n % BLOCKS * STRIDE;
    if (params.start == 0u) {
      dh[n] = dStateN[at];
      dc[n] = dStateN[stateSize + at];
    } else {
      dh[n] = dState[at];
      dc[n] = dState[stateSize + at];
    }
  }
  for (var done = params.start; done < params.start + params.count; done++) {
    let step = params.T - 1u - done;
    let t = timeOf(step);
    let before = timeOf(max(step, 1u) - 1u);
    var dGate: array<array<T, OWN>, 4>;
    for (var n = 0u; n < own; n++) {
      let state = (first + n / BLOCKS) * UNITS + firstUnit + n % BLOCKS * STRIDE;
      let at = (t * params.B + first + n / BLOCKS) * 4u * UNITS + firstUnit + n % BLOCKS * STRIDE;
      let left = Gates(gates[at], gates[at + UNITS], gates[at + 2u * UNITS], gates[at + 3u * UNITS]);
      var cBefore = c0[state];
      if (step > 0u) { cBefore = cells[before * stateSize + state]; }
      let d = cellGradient(left, cells[t * stateSize + state], cBefore, dh[n] + outputGradient(t * stateSize + state), dc[n]);
      dGate[0][n] = d.gates.i;
      dGate[1][n] = d.gates.f;
      dGate[2][n] = d.gates.g;
      dGate[3][n] = d.gates.o;
      dc[n] = d.c;
      for (var gate = 0u; gate < 4u; gate++) { dGates[at + gate * UNITS] = dGate[gate][n]; }
    }
    var sum0 = Block();
    var sum1 = Block();
    var sum2 = Block();
    var sum3 = Block();
    for (var gate = 0u; gate < 4u; gate += TOGETHER) {
      for (var n = 0u; n < own; n++) {
        let at = (firstUnit + n % BLOCKS * STRIDE) * WIDTH + slice + n / BLOCKS;
        for (var g = 0u; g < TOGETHER; g++) { exchange[g * H + at] = dGate[gate + g][n]; }
      }
      workgroupBarrier();
      for (var j = slice; j < TOGETHER * UNITS; j += SLICES) {
        let block = gradientBlock(j);
        let row = gate * H + j * WIDTH;
        sum0 = addProduct(sum0, weightBlock(row, firstUnit), block);
        if (BLOCKS > 1u) { sum1 = addProduct(sum1, weightBlock(row, firstUnit + STRIDE), block); }
        if (BLOCKS > 2u) {
          sum2 = addProduct(sum2, weightBlock(row, firstUnit + 2u * STRIDE), block);
          sum3 = addProduct(sum3, weightBlock(row, firstUnit + 3u * STRIDE), block);
        }
      }
      workgroupBarrier();
    }
    var sums = array<Block, 4>(sumSlices(sum0, lane), sum1, sum2, sum3);
    for (var n = 0u; n < own; n++) { dh[n] = column(sums[n % BLOCKS], n / BLOCKS); }
  }
  for (var n = 0u; n < own; n++) {
    let at = (first + n / BLOCKS) * UNITS + firstUnit + n % BLOCKS * STRIDE;
    dState[at] = dh[n];
    dState[stateSize + at] = dc[n];
  }
}
