// uses: order, recurrent, recurrentStep, rnnBackward
// One time step of the gradient of a recurrent layer (see backward.sequence.wgsl) over as many workgroups as needed: first the
// product dh = dGates . W_hh with the gate gradients of the step after, then the gates of this step. `t`, `before` and
// `after` are this step's time and its neighbours' in the order of the forward pass. What a step passes on of dh, and dc, travel
// in dState [1 or 2, B, H]; one more dispatch turns the gate gradients of the first step into dh0.
struct Params { T: u32, B: u32, t: u32, before: u32, after: u32, hasBefore: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weights: array<T>;
@group(0) @binding(2) var<storage, read_write> dGates: array<T>;
@group(0) @binding(3) var<storage, read_write> dState: array<T>;
@group(0) @binding(5) var<storage, read> dOutput: array<T>;
// Blocks of units that a thread works on, 1, 2 or 4 where there is one slice.
const BLOCKS: u32 = 1u;
// From one block of a thread to its next.
const STRIDE: u32 = UNITS / BLOCKS;
// The step that nothing comes after; the dispatch behind all steps. Constants, since Mesa's software driver compiles again
// for each value of a uniform that decides over large branches.
const FIRST: bool = false;
const LAST: bool = false;
// The gradient of the output; a fused producer puts its own bindings in its place and replaces both functions.
fn load(index: u32) -> f32 { return dOutput[index]; }
fn outputGradient(at: u32) -> T { return load(at); }
// WIDTH batch rows of dGates from vector `at` on. Rows beyond B read something and are never stored.
fn gradientBlock(at: u32) -> Block { return dGates[at]; }
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let member = lane / SLICES;
  let slice = lane % SLICES;
  let item = linearGroup(group, num_workgroups) * SHARE + member;
  let firstUnit = item % STRIDE;
  let firstRow = item / STRIDE * WIDTH;
  let rows = min(WIDTH, max(params.B, firstRow) - firstRow);
  let stateSize = params.B * UNITS;
  var sum0 = Block();
  var sum1 = Block();
  var sum2 = Block();
  var sum3 = Block();
  if (!FIRST) {
    let after = (params.after * params.B + firstRow) * GATES * UNITS;
    for (var j = slice; j < GATES * UNITS; j += SLICES) {
      let block = gradientBlock(after + j);
      sum0 = addProduct(sum0, weightBlock(j * WIDTH, firstUnit), block);
      if (BLOCKS > 1u) { sum1 = addProduct(sum1, weightBlock(j * WIDTH, firstUnit + STRIDE), block); }
      if (BLOCKS > 2u) {
        sum2 = addProduct(sum2, weightBlock(j * WIDTH, firstUnit + 2u * STRIDE), block);
        sum3 = addProduct(sum3, weightBlock(j * WIDTH, firstUnit + 3u * STRIDE), block);
      }
    }
    sum0 = sumSlices(sum0, member, slice);
  }
  if (slice == 0u) {
    var sums = array<Block, 4>(sum0, sum1, sum2, sum3);
    for (var n = 0u; n < BLOCKS * rows; n++) {
      let r = n / BLOCKS;
      let unit = firstUnit + n % BLOCKS * STRIDE;
      let state = (firstRow + r) * UNITS + unit;
      var dH = column(sums[n % BLOCKS], r);
      if (PASSES && !FIRST) { dH += dState[state]; }
      if (LAST) {
        dState[state] = dH;
        continue;
      }
      var dC = T();
      if (HAS_C) {
        if (FIRST) { dC = lastDC(state); } else { dC = dState[stateSize + state]; }
      }
      dH += outputGradient(params.t * stateSize + state);
      let row = firstRow + r;
      let d = cellBack(params.t * params.B + row, params.before * params.B + row, state, unit, params.hasBefore == 1u, dH, dC);
      if (PASSES) { dState[state] = d.h; }
      if (HAS_C) { dState[stateSize + state] = d.c; }
    }
  }
}
