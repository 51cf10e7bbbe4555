// Quotients of an index n and a divisor d that is a uniform, d ≥ 2, from a product with 1 / d: drivers have no quick division of
// integers by what they don't know. `inverse` is f32((1 − 3·2⁻²³) / d), so between (1 − 3.5·2⁻²³) / d and (1 − 2.5·2⁻²³) / d.
//
// The estimate e = f32(n) · inverse is never above n / d, and below by less than 2⁻²⁰ of it: WGSL lets the conversion and the
// product each be rounded up or down, by less than 2⁻²³ of the value, and
//   (1 − 2.5·2⁻²³) (1 + 2⁻²³)² < 1,   (1 − 3.5·2⁻²³) (1 − 2⁻²³)² > 1 − 2⁻²⁰.
//
// For n < 2³¹, which converts as a signed number (many processors have no instruction for others), and n / d ≤ 2²⁰. Then
// n / d − 1 < e ≤ n / d: the whole part of e is that of n / d, or one less, which the remainder tells.
fn shortQuotient(n: u32, d: u32, inverse: f32) -> u32 {
  let q = u32(i32(f32(i32(n)) * inverse));
  return q + select(0u, 1u, n - q * d >= d);
}
// For all n. The first remainder, n − q · d, is less than d + n · 2⁻²⁰, so than d + 2¹². It is divided in the same way: its
// quotient is below 2¹², so that the second estimate lacks one at most.
fn longQuotient(n: u32, d: u32, inverse: f32) -> u32 {
  let q = u32(f32(n) * inverse);
  let p = q + u32(f32(n - q * d) * inverse);
  return p + select(0u, 1u, n - p * d >= d);
}
