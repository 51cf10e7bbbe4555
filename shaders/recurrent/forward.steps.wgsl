// uses: order, recurrent, recurrentStep, rnnForward
// One time step of a recurrent layer (see forward.sequence.wgsl) over as many workgroups as the batch and the units need:
// the recurrent product and the cell together. The dispatches of a sequence differ only in `t` and `before`, the time
// steps to write and to go on from; all read and write `output`, and what a cell keeps, through one binding each.
struct Params { B: u32, t: u32, before: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gatesX: array<T>;
@group(0) @binding(2) var<storage, read> h0: array<T>;
@group(0) @binding(3) var<storage, read> weights: array<T>;
@group(0) @binding(4) var<storage, read_write> output: array<T>;
// The first step starts from h0 and c0.
const FIRST: bool = false;
// WIDTH batch rows of h at the step before, from vector `at` on. Rows beyond B read something and are never stored.
fn hiddenBlock(at: u32) -> Block {
  if (FIRST) { return h0[at]; }
  return output[at];
}
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let member = lane / SLICES;
  let slice = lane % SLICES;
  let item = linearGroup(group, num_workgroups) * SHARE + member;
  let unit = item % UNITS;
  let firstRow = item / UNITS * WIDTH;
  let rows = min(WIDTH, max(params.B, firstRow) - firstRow);
  let before = select(params.before * params.B + firstRow, firstRow, FIRST) * UNITS;
  var sum0 = Block();
  var sum1 = Block();
  var sum2 = Block();
  var sum3 = Block();
  for (var k = slice; k < UNITS; k += SLICES) {
    let block = hiddenBlock(before + k);
    sum0 = addProduct(sum0, weightBlock(unit * WIDTH, k), block);
    if (GATES > 1u) { sum1 = addProduct(sum1, weightBlock(H + unit * WIDTH, k), block); }
    if (GATES > 2u) { sum2 = addProduct(sum2, weightBlock(2u * H + unit * WIDTH, k), block); }
    if (GATES > 3u) { sum3 = addProduct(sum3, weightBlock(3u * H + unit * WIDTH, k), block); }
  }
  sum0 = sumSlices(sum0, member, slice);
  if (GATES > 1u) { sum1 = sumSlices(sum1, member, slice); }
  if (GATES > 2u) { sum2 = sumSlices(sum2, member, slice); }
  if (GATES > 3u) { sum3 = sumSlices(sum3, member, slice); }
  if (slice == 0u) {
    for (var r = 0u; r < rows; r++) {
      let row = params.t * params.B + firstRow + r;
      let at = before + r * UNITS + unit;
      var state = State();
      if (FIRST) {
        state.h = h0[at];
        if (HAS_C) { state.c = firstC(at); }
      } else {
        state.h = output[at];
        if (HAS_C) { state.c = cAt(at); }
      }
      if (HAS_LENGTHS && params.t >= lengthOf(firstRow + r)) {
        cellRest(row, unit, state);
      } else {
        state = cellStep(row, unit, column(sum0, r), column(sum1, r), column(sum2, r), column(sum3, r), state);
      }
      output[row * UNITS + unit] = state.h;
    }
  }
}
