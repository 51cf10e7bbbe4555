// Infinity and NaN, which WGSL lets compilers take for impossible. On the two stacks tried, max, min and clamp drop a NaN, x != x is
// false for one, x · 0.0 and (on Mesa) x − x are folded to 0, and SwiftShader makes ∞ of exp(NaN), 89 of log(NaN). What held on both, for
// numbers and vectors: additions, products and divisions of values that the compiler doesn't know keep NaN and ∞, and
// comparisons with NaN are false, so that select(x, low, x < low) keeps it. So kernels let arithmetic carry a NaN where it can,
// hot loops limit their values by a comparison, and everything else looks at the bits, which no compiler can take for granted.
//
// The bits arrive through a parameter, because Tint refuses a constant that is not finite.
fn floatOf(bits: u32) -> f32 { return bitcast<f32>(bits); }
fn infinity() -> f32 { return floatOf(0x7f800000u); }
fn notANumber() -> f32 { return floatOf(0x7fc00000u); }
fn isNaN(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn isFinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) < 0x7f800000u; }
// y, or NaN where x is NaN.
fn keepNaN(y: f32, x: f32) -> f32 { return select(y, x, isNaN(x)); }
