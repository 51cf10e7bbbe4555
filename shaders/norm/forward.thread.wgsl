// uses: order, bits, lanes, norm
// Layer norm and RMS norm for software adapters: a lane has four rows, so that it loads weight and bias once for them.
// Rows past the end are the last one again.
//
// Lanes that run side by side begin SKEW Elements apart and go around: at the same place of rows a power of two apart they
// would evict each other's lines from the cache.
const SKEW: u32 = 0u;

fn sums(a: Element, b: Element, c: Element, d: Element) -> vec4<f32> { return vec4<f32>(sumOf(a), sumOf(b), sumOf(c), sumOf(d)); }
fn result(at: u32, near: f32, rest: f32, deviation: f32, weight: Element, bias: Element) -> Element {
  return ((source[at] - near) - rest) * deviation * weight + bias; // the difference to `near` first: both may be large
}
fn put(at: u32, near: f32, rest: f32, deviation: f32, weight: Element, bias: Element) {
  write(at, result(at, near, rest, deviation, weight, bias));
}
fn after(e: u32) -> u32 { return select(e + 1u, 0u, SKEW > 0u && e + 1u == params.n); }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let first = (linearGroup(group, num_workgroups) * SIZE + lane) * 4u;
  if (first >= params.rows) { return; }
  let rows = min(first + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.rows - 1u));
  let start = rows * params.n;
  let n = params.n;

  var near = vec4<f32>();
  for (var i = 0u; i < 4u; i++) { near[i] = nearOf(start[i]); } // a loop, so that it is compiled once
  var sum = vec4<f32>(0.0);
  var squares = vec4<f32>(0.0);
  let begin = lane * SKEW % n;
  var e = begin;
  for (var left = n; left > 0u; left--) {
    let at = start + e;
    let a = source[at.x] - near.x;
    let b = source[at.y] - near.y;
    let c = source[at.z] - near.z;
    let d = source[at.w] - near.w;
    if (CENTRED) { sum += sums(a, b, c, d); }
    squares += sums(a * a, b * b, c * c, d * d);
    e = after(e);
  }
  let rest = sum / f32(params.E);
  let variance = squares / f32(params.E) - rest * rest;
  if (!isFinite(dot(variance, vec4<f32>(1.0)))) {
    for (var i = 0u; i < 4u; i++) { statistics[rows[i]] = wholeRow(start[i], 0u, 1u, shrinkOf(variance[i])); }
    return;
  }
  let deviation = vec4<f32>(deviationOf(variance.x), deviationOf(variance.y), deviationOf(variance.z), deviationOf(variance.w));

  e = begin;
  for (var left = n; left > 0u; left--) {
    let at = start + e;
    let weight = gain(e);
    let bias = shift(e);
    put(at.x, near.x, rest.x, deviation.x, weight, bias);
    put(at.y, near.y, rest.y, deviation.y, weight, bias);
    put(at.z, near.z, rest.z, deviation.z, weight, bias);
    put(at.w, near.w, rest.w, deviation.w, weight, bias);
    e = after(e);
  }
  let mean = near + rest;
  statistics[rows.x] = vec2<f32>(mean.x, deviation.x);
  statistics[rows.y] = vec2<f32>(mean.y, deviation.y);
  statistics[rows.z] = vec2<f32>(mean.z, deviation.z);
  statistics[rows.w] = vec2<f32>(mean.w, deviation.w);
}
