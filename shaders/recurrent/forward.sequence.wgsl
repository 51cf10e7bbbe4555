// uses: order, recurrent, recurrentSequence, rnnForward
// Recurrent layer over a whole sequence in one dispatch, of plain units (see rnnForward.wgsl) or of another cell in their place.
// The recurrence couples units but not batch rows, so a workgroup owns ROWS rows, keeps their h in workgroup memory and
// walks through time with barriers only. A thread sums the gates of WIDTH units of all rows: over all k, then it
// finishes all rows; or over one of SLICES slices of k, then the threads of a unit exchange their sums and finish a row each.
// gatesX [T, B, GATES . H] is the product with the input, its biases included.
@group(0) @binding(1) var<storage, read> gatesX: array<T>;
@group(0) @binding(2) var<storage, read> h0: array<T>;
@group(0) @binding(3) var<storage, read> weights: array<T>;
@group(0) @binding(4) var<storage, read_write> output: array<T>;
const SIZE: u32 = UNITS * SLICES;
// Rows that a thread finishes, and those whose c it keeps.
const OWN: u32 = select(1u, ROWS, SLICES == 1u);
const OWN_C: u32 = select(1u, OWN, HAS_C);
// h of the step before [UNITS, ROWS]; then the sums [WIDTH rows, UNITS, SLICES] of one gate.
var<workgroup> exchange: array<T, ROWS * SIZE>;
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let unit = lane / SLICES;
  let slice = lane % SLICES;
  let firstRow = linearGroup(group, num_workgroups) * ROWS;
  let rows = min(ROWS, max(params.B, firstRow) - firstRow);
  // This thread finishes `own` rows from `first` on.
  let own = select(select(0u, 1u, slice < rows), rows, SLICES == 1u);
  let first = firstRow + slice;
  // Of these, h and c of the step before; a chunk of a long sequence goes on from where the last one ended.
  var h: array<T, OWN>;
  var c: array<T, OWN_C>;
  let before = timeOf(max(params.start, 1u) - 1u) * params.B * UNITS;
  for (var n = 0u; n < own; n++) {
    let at = (first + n) * UNITS + unit;
    if (params.start == 0u) {
      h[n] = h0[at];
      if (HAS_C) { c[n] = firstC(at); }
    } else {
      h[n] = output[before + at];
      if (HAS_C) { c[n] = cAt(before + at); }
    }
  }
  for (var now = params.start; now < params.start + params.count; now++) {
    for (var n = 0u; n < own; n++) { exchange[unit * ROWS + slice + n] = h[n]; }
    workgroupBarrier();
    var sum0 = Rows();
    var sum1 = Rows();
    var sum2 = Rows();
    var sum3 = Rows();
    for (var k = slice; k < UNITS; k += SLICES) {
      let block = exchangedRows(k);
      sum0 = addRows(sum0, weightBlock(unit * WIDTH, k), block);
      if (GATES > 1u) { sum1 = addRows(sum1, weightBlock(H + unit * WIDTH, k), block); }
      if (GATES > 2u) { sum2 = addRows(sum2, weightBlock(2u * H + unit * WIDTH, k), block); }
      if (GATES > 3u) { sum3 = addRows(sum3, weightBlock(3u * H + unit * WIDTH, k), block); }
    }
    workgroupBarrier();
    sum0 = wholeRows(sum0, lane);
    if (GATES > 1u) { sum1 = wholeRows(sum1, lane); }
    if (GATES > 2u) { sum2 = wholeRows(sum2, lane); }
    if (GATES > 3u) { sum3 = wholeRows(sum3, lane); }
    let t = timeOf(now);
    for (var n = 0u; n < own; n++) {
      let row = t * params.B + first + n;
      var state = State(h[n], T());
      if (HAS_C) { state.c = c[n]; }
      if (HAS_LENGTHS && t >= lengthOf(first + n)) {
        cellRest(row, unit, state);
      } else {
        state = cellStep(row, unit, rowOf(sum0, n), rowOf(sum1, n), rowOf(sum2, n), rowOf(sum3, n), state);
      }
      h[n] = state.h;
      if (HAS_C) { c[n] = state.c; }
      output[row * UNITS + unit] = state.h;
    }
  }
}
