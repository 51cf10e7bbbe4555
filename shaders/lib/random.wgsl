// What random words (see philox.wgsl) are made into; stands behind bits.wgsl and philox.wgsl. Functions that end in 4 take a block of words.

// Uniform in [low, high) from 24 bits. settings: low, the upper 12 bits of high - low, its lower ones, the last number
// below high. Products of halves are exact, so the sum is the same whether or not a compiler fuses them with additions.
fn uniformIn(word: u32, settings: vec4<f32>) -> f32 {
  let upper = f32(word >> 20u) * 2.44140625e-4;
  let lower = f32((word >> 8u) & 0xfffu) * 5.9604644775390625e-8;
  let above = ((settings.z * lower + settings.z * upper) + settings.y * lower) + settings.y * upper;
  return clamp(settings.x + above, settings.x, settings.w);
}
fn uniformIn4(words: vec4<u32>, settings: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(uniformIn(words.x, settings), uniformIn(words.y, settings), uniformIn(words.z, settings), uniformIn(words.w, settings));
}

// ln x for a normal x > 0: x = m·2^e with m in [√½, √2), and ln m = 2 artanh((m - 1) / (m + 1)). Built-in logarithms differ
// from driver to driver.
fn naturalLog(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let exponent = bitcast<i32>(bits - 0x3f3504f3u) >> 23u;
  let m = bitcast<f32>(bits - (bitcast<u32>(exponent) << 23u));
  let s = (m - 1.0) / (m + 1.0);
  let y = s * s;
  let rest = y * (0.6666667 + y * (0.4 + y * (0.2857143 + y * 0.2222222)));
  return f32(exponent) * 0.6931472 + (2.0 * s + s * rest);
}
// With a step of Newton's, since the built-in one may be off by several units.
fn squareRoot(x: f32) -> f32 {
  let root = sqrt(x);
  return 0.5 * (root + x / root);
}

// Standard normal: the value above which a share of (word + ½) / 2^32 lies (Wichura, AS 241, PPND7, 1988). The distance
// from the median and the probability of the tail are both counted from their own end, so that neither loses digits.
fn standardNormal(word: u32) -> f32 {
  let bits = min(word, ~word);
  let distance = (f32(0x7fffffffu - bits) + 0.5) * 2.3283064365386963e-10;
  let tail = (f32(bits) + 0.5) * 2.3283064365386963e-10;
  let c = 0.180625 - distance * distance;
  let middle = distance * (((59.10937472 * c + 159.29113202) * c + 50.434271938) * c + 3.3871327179)
    / (((67.1875636 * c + 78.757757664) * c + 17.895169469) * c + 1.0);
  let root = squareRoot(-naturalLog(tail));
  let n = root - 1.6;
  let near = (((0.17023821103 * n + 1.3067284816) * n + 2.75681539) * n + 1.4234372777) / ((0.12021132975 * n + 0.7370016425) * n + 1.0);
  let f = root - 5.0;
  let far = (((0.017337203997 * f + 0.42868294337) * f + 3.081226386) * f + 6.657905115) / ((0.012258202635 * f + 0.24197894225) * f + 1.0);
  let size = select(select(far, near, root <= 5.0), middle, distance <= 0.425);
  return select(size, -size, word > 0x7fffffffu);
}
// settings: mean, standard deviation.
fn normalWith(word: u32, settings: vec4<f32>) -> f32 { return settings.x + settings.y * standardNormal(word); }
fn normalWith4(words: vec4<u32>, settings: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(normalWith(words.x, settings), normalWith(words.y, settings), normalWith(words.z, settings), normalWith(words.w, settings));
}

// 1 with probability p, else 0; NaN where p is.
fn bernoulliWith(word: u32, p: f32) -> f32 {
  return keepNaN(select(0.0, 1.0, unit(word) < p), p);
}
fn bernoulliWith4(words: vec4<u32>, p: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(bernoulliWith(words.x, p.x), bernoulliWith(words.y, p.y), bernoulliWith(words.z, p.z), bernoulliWith(words.w, p.w));
}

// Integers. settings: the lowest, and how many there are (0 for all 2^32).
fn integerIn(word: u32, settings: vec4<u32>) -> i32 {
  return bitcast<i32>(settings.x + select(mulHigh(word, settings.y), word, settings.y == 0u));
}
fn integerIn4(words: vec4<u32>, settings: vec4<u32>) -> vec4<i32> {
  return vec4<i32>(integerIn(words.x, settings), integerIn(words.y, settings), integerIn(words.z, settings), integerIn(words.w, settings));
}
