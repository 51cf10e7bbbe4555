// What the kernels of one time step of an LSTM layer share.
const SIZE: u32 = 64u;
// Threads of a workgroup that share a slice.
const SHARE: u32 = SIZE / SLICES;
var<workgroup> partial: array<Block, max(1u, (SLICES - 1u) * SHARE)>;
// The sum over slices, in order; whole in slice 0 only.
fn sumSlices(mine: Block, member: u32, slice: u32) -> Block {
  if (SLICES == 1u) { return mine; }
  if (slice > 0u) { partial[(slice - 1u) * SHARE + member] = mine; }
  workgroupBarrier();
  var total = mine;
  if (slice == 0u) {
    for (var s = 0u; s < SLICES - 1u; s++) { total += partial[s * SHARE + member]; }
  }
  workgroupBarrier();
  return total;
}
