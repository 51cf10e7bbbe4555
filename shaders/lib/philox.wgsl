// Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
// generator, so that a mask is recomputed from (key, counter) and never stored.
// High word of a 32×32-bit product, from 16-bit halves: WGSL has no 64-bit integers.
fn mulHigh(a: u32, b: u32) -> u32 {
  let aLow = a & 0xffffu; let aHigh = a >> 16u;
  let bLow = b & 0xffffu; let bHigh = b >> 16u;
  let low = aLow * bLow;
  let middle = aHigh * bLow + (low >> 16u);
  let middle2 = aLow * bHigh + (middle & 0xffffu);
  return aHigh * bHigh + (middle >> 16u) + (middle2 >> 16u);
}
fn philox(counterIn: vec4<u32>, keyIn: vec2<u32>) -> vec4<u32> {
  var counter = counterIn;
  var key = keyIn;
  for (var round = 0u; round < 10u; round++) {
    let high0 = mulHigh(0xD2511F53u, counter.x);
    let high1 = mulHigh(0xCD9E8D57u, counter.z);
    counter = vec4<u32>(high1 ^ counter.y ^ key.x, 0xCD9E8D57u * counter.z, high0 ^ counter.w ^ key.y, 0xD2511F53u * counter.x);
    key += vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
  }
  return counter;
}
// Random stream `stream` of a key = (seed low, seed high, position low, position high), the position counting the random ops
// since the seed was set. Block `index` holds elements 4·index to 4·index + 3.
fn randomBlock(key: vec4<u32>, stream: u32, index: u32) -> vec4<u32> {
  let low = key.z + stream;
  let high = key.w + select(0u, 1u, low < key.z);
  return philox(vec4<u32>(index, 0u, low, high), key.xy);
}
fn randomWord(key: vec4<u32>, stream: u32, index: u32) -> u32 { return randomBlock(key, stream, index >> 2u)[index & 3u]; }
// Word `word` of the key that stands `advance` positions further on.
fn keyWord(key: vec4<u32>, advance: u32, word: u32) -> u32 {
  let low = key.z + advance;
  let moved = vec4<u32>(key.xy, low, key.w + select(0u, 1u, low < key.z));
  return select(0u, moved[min(word, 3u)], word < 4u);
}
// Uniform in [0, 1) with 24 bits, so that it is exact in f32.
fn unit(word: u32) -> f32 { return f32(word >> 8u) * 5.9604644775390625e-8; }
fn unit4(words: vec4<u32>) -> vec4<f32> { return vec4<f32>(words >> vec4<u32>(8u)) * 5.9604644775390625e-8; }
