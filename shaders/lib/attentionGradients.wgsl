// uses: attention
// What the backward attention kernels share: the gradient of O, and (lse, δ) of each row. A kernel declares `statistics`.
@group(0) @binding(4) var<storage, read> dO: array<Element>;
@group(0) @binding(6) var<storage, read_write> result: array<Element>;
struct Saved { lse: vec4<f32>, delta: vec4<f32> }

// dS = P ∘ (dropout(dO Vᵀ) - δ), times a scale.
fn slopesOf(p: mat4x4<f32>, products: mat4x4<f32>, factors: mat4x4<f32>, delta: vec4<f32>, scale: f32) -> mat4x4<f32> {
  let dS = times(p, times(products, factors) - mat4x4<f32>(delta, delta, delta, delta)) * scale;
  if (HIDES) { return mat4x4<f32>(markedAs(dS[0], p[0]), markedAs(dS[1], p[1]), markedAs(dS[2], p[2]), markedAs(dS[3], p[3])); }
  return dS;
}
// The marks of p, and no others.
fn markedAs(dS: vec4<f32>, p: vec4<f32>) -> vec4<f32> {
  return marked(select(dS, vec4<f32>(), dS == vec4<f32>()), areMarked(p));
}
// (lse, δ) of four rows; for those past the end, of the last one.
fn statisticsBlock(batch: u32, head: u32, row: u32) -> Saved {
  let base = (batch * params.H + head) * params.L;
  let last = params.L - 1u;
  let a = statistics[base + min(row, last)];
  let b = statistics[base + min(row + 1u, last)];
  let c = statistics[base + min(row + 2u, last)];
  let d = statistics[base + min(row + 3u, last)];
  return Saved(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y));
}
// Hook: the same for a kernel of dQ; where δ is computed there, it is left for that of dK and dV.
fn savedRows(batch: u32, head: u32, row: u32, leave: bool) -> Saved { return statisticsBlock(batch, head, row); }
