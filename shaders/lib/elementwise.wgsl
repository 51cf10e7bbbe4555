// Functions of the elementwise expressions. V is f32, or vec4<f32> where a kernel takes four elements at a time. Infinities and
// NaN come out as IEEE 754 has it: a function that would lose a NaN looks for it by its bits (see bits.wgsl).
alias V = f32;
alias B = bool;
alias U = u32;
fn isNaN_(x: V) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }
fn isInf_(x: V) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) == U(0x7f800000u); }
fn isFinite_(x: V) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) < U(0x7f800000u); }
// y, or NaN where x is NaN.
fn keepNaN_(y: V, x: V) -> V { return select(y, x, isNaN_(x)); }
// Whether the sign is negative: that of -0 too, but not that of a NaN.
fn negative_(x: V) -> B { return (bitcast<U>(x) ^ U(0x80000000u)) <= U(0x7f800000u); }
// x · 0, which compilers fold to 0 where they see the zero.
fn timesZero_(x: V) -> V { return select(V(notANumber()), V(0.0), isFinite_(x)); }
// a / b where compilers would fold it: 0 / b, and a / a.
fn quotient_(a: V, b: V) -> V { return select(a / b, V(notANumber()), ((a == V(0.0)) & (b == V(0.0))) | (isInf_(a) & isInf_(b)) | isNaN_(b)); }
fn notEqual_(a: V, b: V) -> B { return (a != b) | isNaN_(a) | isNaN_(b); }
fn isTrue_(x: V) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) != U(0u); }
// What a conversion to integers takes: 0 for NaN.
fn whole_(x: V) -> V { return select(x, V(0.0), isNaN_(x)); }
fn max_(a: V, b: V) -> V { return keepNaN_(keepNaN_(max(a, b), a), b); }
fn min_(a: V, b: V) -> V { return keepNaN_(keepNaN_(min(a, b), a), b); }
fn clamp_(x: V, low: V, high: V) -> V { return keepNaN_(clamp(x, low, high), x); }
fn sign_(x: V) -> V { return keepNaN_(sign(x), x); }
fn relu_(x: V) -> V { return select(x, V(0.0), negative_(x)); }
fn exp_(x: V) -> V { return keepNaN_(exp(x), x); }
fn log_(x: V) -> V {
  let positive = (bitcast<U>(x) - U(1u)) < U(0x7f800000u);
  return select(select(V(notANumber()), V(-infinity()), x == V(0.0)), log(x), positive);
}
// Some drivers answer NaN for large arguments; it is 1 to the last bit of f32 beyond 9.02.
fn tanh_(x: V) -> V { return keepNaN_(tanh(clamp(x, V(-10.0), V(10.0))), x); }
// Far below 0 the exponential is infinite, and the quotient 0. The plain forms may lose a NaN: for callers that multiply by x.
fn plainSigmoid(x: V) -> V { return V(1.0) / (V(1.0) + exp(-x)); }
fn sigmoid_(x: V) -> V { return keepNaN_(plainSigmoid(x), x); }
fn silu_(x: V) -> V { return x * plainSigmoid(x); }
// log(1 + e^x), in the form that neither overflows nor cancels.
fn softplus_(x: V) -> V { return keepNaN_(max(x, V(0.0)) + log(V(1.0) + exp(-min(abs(x), V(87.0)))), x); }
// Sine by Cody–Waite reduction to [-π/2, π/2] and a Taylor polynomial to x¹³: the built-in may be off by 2⁻¹¹.
fn sinReduced(x: V) -> V {
  let y = x * x;
  return x * (V(1.0) + y * (V(-1.6666667e-1) + y * (V(8.3333333e-3) + y * (V(-1.9841270e-4) + y * (V(2.7557319e-6) + y * (V(-2.5052108e-8) + y * V(1.6059044e-10)))))));
}
fn sin_(x: V) -> V {
  let n = round(x * V(0.31830988618));
  let r = ((x - n * V(3.140625)) - n * V(9.67502593994e-4)) - n * V(1.509957990978376e-7);
  let odd = n - V(2.0) * floor(n * V(0.5));
  return sinReduced(r) * (V(1.0) - V(2.0) * odd);
}
// cos x = sin(x + π/2), with the quarter turn taken inside the reduction so that nothing is lost for large x.
fn cos_(x: V) -> V {
  let n = round(x * V(0.31830988618) + V(0.5)) - V(0.5);
  let r = ((x - n * V(3.140625)) - n * V(9.67502593994e-4)) - n * V(1.509957990978376e-7);
  let m = n + V(0.5);
  let odd = m - V(2.0) * floor(m * V(0.5));
  return sinReduced(r) * (V(1.0) - V(2.0) * odd);
}
// erf: Maclaurin series below 1, where a quotient would lose digits; beyond it Abramowitz and Stegun 7.1.26's successor in
// Numerical Recipes' Chebyshev form for erfc (relative error 1.2e-7).
fn erf_(x: V) -> V { return keepNaN_(plainErf(x), x); }
fn plainErf(x: V) -> V {
  let a = min(abs(x), V(10.0));
  let s = a * a;
  let small = a * V(1.1283791671) * (V(1.0) + s * (V(-0.33333333333) + s * (V(0.1) + s * (V(-0.023809523810) + s * (V(4.6296296296e-3)
    + s * (V(-7.5757575758e-4) + s * (V(1.0683760684e-4) + s * (V(-1.3227513228e-5) + s * (V(1.4589169000e-6) + s * V(-1.4503852223e-7))))))))));
  let t = V(1.0) / (V(1.0) + V(0.5) * a);
  let p = V(-1.26551223) + t * (V(1.00002368) + t * (V(0.37409196) + t * (V(0.09678418) + t * (V(-0.18628806)
    + t * (V(0.27886807) + t * (V(-1.13520398) + t * (V(1.48851587) + t * (V(-0.82215223) + t * V(0.17087277)))))))));
  let large = V(1.0) - t * exp(max(p - s, V(-100.0)));
  return sign(x) * select(large, small, a < V(1.0));
}
// pow where WGSL leaves it undefined: a base that is negative, 0 or infinite, and NaN. As in IEEE 754, x^0 = 1^y = 1.
fn pow_(x: V, y: V) -> V {
  let base = abs(x);
  let half = y * V(0.5);
  let odd = (floor(y) == y) & (floor(half) != half);
  let one = (y == V(0.0)) | (x == V(1.0));
  // 0 or infinity, where the base or the exponent is one of them.
  let endless = select(V(0.0), V(infinity()), (base > V(1.0)) == (y > V(0.0)));
  let edge = select(endless, V(1.0), base == V(1.0));
  var magnitude = select(pow(base, y), edge, (base == V(0.0)) | isInf_(base) | isInf_(y));
  magnitude = select(magnitude, V(notANumber()), (x < V(0.0)) & (floor(y) != y) & isFinite_(x));
  magnitude = keepNaN_(keepNaN_(magnitude, x), y);
  return select(select(magnitude, -magnitude, negative_(x) & odd), V(1.0), one);
}
fn gelu_(x: V) -> V { return V(0.5) * x * (V(1.0) + plainErf(x * V(0.70710678119))); }
fn geluGradient_(x: V) -> V {
  // Far out the density is 0, and the square would overflow.
  let near = select(x, V(0.0), abs(x) > V(100.0));
  return V(0.5) * (V(1.0) + plainErf(x * V(0.70710678119))) + near * V(0.39894228040) * exp(V(-0.5) * near * near);
}
// With (1 + tanh z) / 2 = 1 / (1 + e^(−2z)): one exponential, and no cancellation where x is far below zero.
fn geluTanhWeight(x: V) -> V {
  let z = x * (V(-2.302208198) + x * x * V(-0.1029432397)); // in powers of two
  return V(1.0) / (V(1.0) + exp2(z));
}
fn geluTanh_(x: V) -> V { return x * geluTanhWeight(x); }
fn geluTanhGradient_(x: V) -> V {
  let weight = geluTanhWeight(x);
  // Far out one of the weights is 0, and the square would overflow.
  let near = select(x, V(0.0), abs(x) > V(100.0));
  return weight * (V(1.0) + near * (V(1.0) - weight) * (V(1.5957691216) + V(2.1406444885e-1) * near * near));
}
