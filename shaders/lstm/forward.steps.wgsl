// uses: order, lstm, lstmCell, lstmStep
// One time step of an LSTM layer (see forward.sequence.wgsl) over as many workgroups as the batch and the units need:
// the recurrent product and the gates together. The dispatches of a sequence differ only in `t` and `before`, the time
// steps to write and to go on from; all read and write `output` and `cells` through one binding each.
struct Params { B: u32, t: u32, before: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> gatesX: array<T>;
@group(0) @binding(2) var<storage, read> h0: array<T>;
@group(0) @binding(3) var<storage, read> c0: array<T>;
@group(0) @binding(4) var<storage, read> weights: array<T>;
@group(0) @binding(5) var<storage, read_write> output: array<T>;
@group(0) @binding(6) var<storage, read_write> cells: array<T>;
@group(0) @binding(7) var<storage, read_write> gates: array<T>;
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
  var sumI = Block();
  var sumF = Block();
  var sumG = Block();
  var sumO = Block();
  for (var k = slice; k < UNITS; k += SLICES) {
    let block = hiddenBlock(before + k);
    sumI = addProduct(sumI, weightBlock(unit * WIDTH, k), block);
    sumF = addProduct(sumF, weightBlock(H + unit * WIDTH, k), block);
    sumG = addProduct(sumG, weightBlock(2u * H + unit * WIDTH, k), block);
    sumO = addProduct(sumO, weightBlock(3u * H + unit * WIDTH, k), block);
  }
  sumI = sumSlices(sumI, member, slice);
  sumF = sumSlices(sumF, member, slice);
  sumG = sumSlices(sumG, member, slice);
  sumO = sumSlices(sumO, member, slice);
  if (slice == 0u) {
    for (var r = 0u; r < rows; r++) {
      let row = params.t * params.B + firstRow + r;
      let at = row * 4u * UNITS + unit;
      let input = Gates(gatesX[at], gatesX[at + UNITS], gatesX[at + 2u * UNITS], gatesX[at + 3u * UNITS]);
      let recurrent = Gates(column(sumI, r), column(sumF, r), column(sumG, r), column(sumO, r));
      let state = before + r * UNITS + unit;
      var h = T();
      var c = T();
      if (FIRST) {
        h = h0[state];
        c = c0[state];
      } else {
        h = output[state];
        c = cells[state];
      }
      let next = cellOf(input, recurrent, h, c);
      gates[at] = next.gates.i;
      gates[at + UNITS] = next.gates.f;
      gates[at + 2u * UNITS] = next.gates.g;
      gates[at + 3u * UNITS] = next.gates.o;
      cells[row * UNITS + unit] = next.c;
      output[row * UNITS + unit] = next.h;
    }
  }
}
