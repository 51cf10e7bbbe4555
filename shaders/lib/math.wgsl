// Functions that keep NaN (see bits.wgsl). T is f32 or vec4<f32>.
alias T = f32;
alias TBits = u32;
fn orNaN(y: T, x: T) -> T { return select(y, x, (bitcast<TBits>(x) & TBits(0x7fffffffu)) > TBits(0x7f800000u)); }
// tanh is 1 to the last bit of f32 beyond 9.02, and some drivers answer NaN for large arguments.
fn safeTanh(x: T) -> T { return orNaN(tanh(clamp(x, T(-10.0), T(10.0))), x); }
// Far below 0 the exponential is infinite, and the quotient 0.
fn sigmoid(x: T) -> T { return orNaN(T(1.0) / (T(1.0) + exp(-x)), x); }
