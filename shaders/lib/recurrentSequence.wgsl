// What the kernels of whole LSTM sequences share. A kernel declares its SIZE and `exchange`, workgroup memory.
struct Params { T: u32, B: u32, start: u32, count: u32, reverse: u32 }
@group(0) @binding(0) var<uniform> params: Params;
// Batch rows of a workgroup: WIDTH for each of the blocks for which a thread reads a weight once, one where there are slices.
const ROW_BLOCKS: u32 = 1u;
const ROWS: u32 = WIDTH * ROW_BLOCKS;
alias Rows = Block;
// Vector k of what is exchanged of all rows.
fn exchangedRows(k: u32) -> Rows { return exchangedBlock(k); }
fn exchangedBlock(k: u32) -> Block { return exchange[k]; }
fn addRows(sum: Rows, weights: Block, rows: Rows) -> Rows { return addProduct(sum, weights, rows); }
fn wholeRows(mine: Rows, lane: u32) -> Rows { return sumSlices(mine, lane); }
fn rowOf(rows: Rows, n: u32) -> T { return column(rows, n); }
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
