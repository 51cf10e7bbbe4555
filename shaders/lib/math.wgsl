// Functions guarded against overflow, because WGSL leaves infinities and NaN undefined. T is f32 or vec4<f32>.
alias T = f32;
// tanh is 1 to the last bit of f32 beyond 9.02, and some drivers answer NaN for large arguments.
fn safeTanh(x: T) -> T { return tanh(clamp(x, T(-10.0), T(10.0))); }
fn sigmoid(x: T) -> T { return T(1.0) / (T(1.0) + exp(clamp(-x, T(-87.0), T(87.0)))); }
