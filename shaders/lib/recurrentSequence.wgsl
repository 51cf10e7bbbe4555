// What the kernels of whole LSTM sequences share. A kernel declares its SIZE and `exchange`, workgroup memory.
struct Params { T: u32, B: u32, start: u32, count: u32, reverse: u32 }
@group(0) @binding(0) var<uniform> params: Params;
fn blockOf(first: T) -> Block { return first; }
// The sum over slices: whole, or in column 0 the row that this thread finishes. There are 1, or WIDTH or more.
fn sumSlices(mine: Block, lane: u32) -> Block {
  if (SLICES == 1u) { return mine; }
  for (var r = 0u; r < WIDTH; r++) { exchange[r * SIZE + lane] = column(mine, r); }
  workgroupBarrier();
  let slice = lane % SLICES;
  var total = T();
  if (slice < WIDTH) {
    for (var s = 0u; s < SLICES; s++) { total += exchange[slice * SIZE + lane - slice + s]; }
  }
  workgroupBarrier();
  return blockOf(total);
}
// Time of a step of the forward pass.
fn timeOf(step: u32) -> u32 { return select(step, params.T - 1u - step, params.reverse == 1u); }
