// uses: order, lstm, lstmCell, lstmSequence
// LSTM layer over a whole sequence in one dispatch.
// The recurrence couples units but not batch rows, so a workgroup owns WIDTH rows, keeps their h in workgroup memory and
// walks through time with barriers only. A thread sums the four gates of WIDTH units of all rows: over all k, then it
// finishes all rows; or over one of SLICES slices of k, then the threads of a unit exchange their sums and finish a row each.
// gatesX [T, B, 4H] is the product with the input, biases included; gates [T, B, 4H] are kept, activated, for backward.
@group(0) @binding(1) var<storage, read> gatesX: array<T>;
@group(0) @binding(2) var<storage, read> h0: array<T>;
@group(0) @binding(3) var<storage, read> c0: array<T>;
@group(0) @binding(4) var<storage, read> weights: array<T>;
@group(0) @binding(5) var<storage, read_write> output: array<T>;
@group(0) @binding(6) var<storage, read_write> cells: array<T>;
@group(0) @binding(7) var<storage, read_write> gates: array<T>;
const SIZE: u32 = UNITS * SLICES;
// Rows that a thread finishes.
const OWN: u32 = select(1u, WIDTH, SLICES == 1u);
// h of the step before [UNITS, WIDTH rows]; then the sums [WIDTH rows, UNITS, SLICES] of one gate.
var<workgroup> exchange: array<T, WIDTH * SIZE>;
fn hiddenBlock(k: u32) -> Block { return exchange[k]; }
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let unit = lane / SLICES;
  let slice = lane % SLICES;
  let firstRow = linearGroup(group, num_workgroups) * WIDTH;
  let rows = min(WIDTH, max(params.B, firstRow) - firstRow);
  // This thread finishes `own` rows from `first` on.
  let own = select(select(0u, 1u, slice < rows), rows, SLICES == 1u);
  let first = firstRow + slice;
  // Of these, h and c of the step before; a chunk of a long sequence goes on from where the last one ended.
  var h: array<T, OWN>;
  var c: array<T, OWN>;
  let before = timeOf(max(params.start, 1u) - 1u);
  for (var n = 0u; n < own; n++) {
    let at = (first + n) * UNITS + unit;
    if (params.start == 0u) {
      h[n] = h0[at];
      c[n] = c0[at];
    } else {
      h[n] = output[before * params.B * UNITS + at];
      c[n] = cells[before * params.B * UNITS + at];
    }
  }
  for (var step = params.start; step < params.start + params.count; step++) {
    for (var n = 0u; n < own; n++) { exchange[unit * WIDTH + slice + n] = h[n]; }
    workgroupBarrier();
    var sumI = Block();
    var sumF = Block();
    var sumG = Block();
    var sumO = Block();
    for (var k = slice; k < UNITS; k += SLICES) {
      let block = hiddenBlock(k);
      sumI = addProduct(sumI, weightBlock(unit * WIDTH, k), block);
      sumF = addProduct(sumF, weightBlock(H + unit * WIDTH, k), block);
      sumG = addProduct(sumG, weightBlock(2u * H + unit * WIDTH, k), block);
      sumO = addProduct(sumO, weightBlock(3u * H + unit * WIDTH, k), block);
    }
    workgroupBarrier();
    sumI = sumSlices(sumI, lane);
    sumF = sumSlices(sumF, lane);
    sumG = sumSlices(sumG, lane);
    sumO = sumSlices(sumO, lane);
    for (var n = 0u; n < own; n++) {
      let row = timeOf(step) * params.B + first + n;
      let at = row * 4u * UNITS + unit;
      let input = Gates(gatesX[at], gatesX[at + UNITS], gatesX[at + 2u * UNITS], gatesX[at + 3u * UNITS]);
      let recurrent = Gates(column(sumI, n), column(sumF, n), column(sumG, n), column(sumO, n));
      let next = cellOf(input, recurrent, h[n], c[n]);
      c[n] = next.c;
      h[n] = next.h;
      gates[at] = next.gates.i;
      gates[at + UNITS] = next.gates.f;
      gates[at + 2u * UNITS] = next.gates.g;
      gates[at + 3u * UNITS] = next.gates.o;
      cells[row * UNITS + unit] = c[n];
      output[row * UNITS + unit] = h[n];
    }
  }
}
