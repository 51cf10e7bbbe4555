// Functions of the elementwise expressions. V is f32, or vec4<f32> where a kernel takes four elements at a time; the
// guards are there because WGSL leaves infinities and NaN undefined and some drivers answer NaN for large arguments.
alias V = f32;
alias B = bool;
fn exp_(x: V) -> V { return exp(clamp(x, V(-104.0), V(88.7))); }
fn tanh_(x: V) -> V { return tanh(clamp(x, V(-10.0), V(10.0))); }
fn sigmoid_(x: V) -> V { return V(1.0) / (V(1.0) + exp(clamp(-x, V(-87.0), V(87.0)))); }
// log(1 + e^x), in the form that neither overflows nor cancels.
fn softplus_(x: V) -> V { return max(x, V(0.0)) + log(V(1.0) + exp(-min(abs(x), V(87.0)))); }
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
fn erf_(x: V) -> V {
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
// pow for the bases where WGSL leaves it undefined: a negative base with an integer exponent, and 0^0 = 1.
fn pow_(x: V, y: V) -> V {
  let magnitude = pow(max(abs(x), V(1.1754944e-38)), y);
  let odd = abs(y - V(2.0) * floor(y * V(0.5))) == V(1.0);
  let zero = select(V(0.0), V(1.0), y == V(0.0));
  return select(select(magnitude, -magnitude, (x < V(0.0)) & odd), zero, x == V(0.0));
}
fn gelu_(x: V) -> V { return V(0.5) * x * (V(1.0) + erf_(x * V(0.70710678119))); }
fn geluGradient_(x: V) -> V { return V(0.5) * (V(1.0) + erf_(x * V(0.70710678119))) + x * V(0.39894228040) * exp(-min(V(0.5) * x * x, V(87.0))); }
// With (1 + tanh z) / 2 = 1 / (1 + e^(−2z)): one exponential, and no cancellation where x is far below zero.
fn geluTanhWeight(x: V) -> V {
  let z = x * (V(-2.302208198) + x * x * V(-0.1029432397)); // in powers of two
  return V(1.0) / (V(1.0) + exp2(select(z, V(126.0), z > V(126.0))));
}
fn geluTanh_(x: V) -> V { return x * geluTanhWeight(x); }
fn geluTanhGradient_(x: V) -> V {
  let weight = geluTanhWeight(x);
  return weight * (V(1.0) + x * (V(1.0) - weight) * (V(1.5957691216) + V(2.1406444885e-1) * x * x));
}
