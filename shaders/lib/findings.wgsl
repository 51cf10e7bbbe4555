// The status of a submit as optimizers' kernels bind it, which read whether the submit has failed, and tell of what they
// find: a value that is not finite fails no step. A submit starts with no findings; `found` goes on to the submits after it,
// like `since`, until somebody has read.
struct StepStatus { failed: u32, since: u32, found: atomic<u32>, findings: array<atomic<u32>> }

const NOT_FINITE: u32 = 0x7f800000u; // The bits of ∞; the magnitude of a NaN is above.
const LEFT_OUT: u32 = 1u;

// Met in a block of 64 elements. Of several the greatest stays: a gradient that was not finite as it came goes before values
// that have become so, and the first block before those behind it.
fn findingIn(block: u32, gradient: bool) -> u32 { return select(0u, 0x80000000u, gradient) + 0x7fffffffu - block; }
