// uses: order, bits, lanes, normBackward
// Gradients of layer norm and RMS norm for software adapters. A workgroup of SIZE lanes takes 4 SIZE rows, twice: along the
// rows for their two means, four rows to a lane, so that it loads the weight once for them; then down the columns for dx
// and sums, four columns to a lane, so that it loads what it must know of a row once for them.
// Rows past the end are the last one again, columns likewise.
struct Saved { mean: f32, slope: f32, shift: f32, tilt: f32 }
var<workgroup> saved: array<Saved, 4u * SIZE>;

fn sums(a: Element, b: Element, c: Element, d: Element) -> vec4<f32> { return vec4<f32>(sumOf(a), sumOf(b), sumOf(c), sumOf(d)); }

fn gradient(index: u32, centred: Element, scaled: Element, weight: Element, row: Saved) {
  write(index, scaled * weight - row.shift - centred * row.tilt);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups);
  let first = group * 4u * SIZE;
  let n = params.n;

  {
    let rows = min(first + 4u * lane + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.rows - 1u));
    let s = array<vec2<f32>, 4>(statistics[rows.x], statistics[rows.y], statistics[rows.z], statistics[rows.w]);
    let slope = vec4<f32>(s[0].y, s[1].y, s[2].y, s[3].y);
    var g = vec4<f32>(0.0);
    var gx = vec4<f32>(0.0);
    var at = rows * n;
    for (var left = n; left > 0u; left--) {
      let weight = gain(n - left);
      let a = dy[at.x] * weight;
      let b = dy[at.y] * weight;
      let c = dy[at.z] * weight;
      let d = dy[at.w] * weight;
      if (CENTRED) { g += sums(a, b, c, d); }
      gx += sums(a * (source[at.x] - s[0].x), b * (source[at.y] - s[1].x), c * (source[at.z] - s[2].x), d * (source[at.w] - s[3].x));
      at += vec4<u32>(1u);
    }
    let shift = g / f32(params.E) * slope;
    let tilt = gx / f32(params.E) * slope * slope * slope;
    saved[4u * lane] = Saved(s[0].x, s[0].y, shift.x, tilt.x);
    saved[4u * lane + 1u] = Saved(s[1].x, s[1].y, shift.y, tilt.y);
    saved[4u * lane + 2u] = Saved(s[2].x, s[2].y, shift.z, tilt.z);
    saved[4u * lane + 3u] = Saved(s[3].x, s[3].y, shift.w, tilt.w);
  }
  workgroupBarrier();

  let rows = min(4u * SIZE, params.rows - min(first, params.rows));
  let last = n - 1u;
  let pieces = params.pieces;
  var j = lane;
  for (var piece = pieces; piece > 0u; piece--) {
    let e = vec4<u32>(place(0u, j, last), place(0u, j + SIZE, last), place(0u, j + 2u * SIZE, last), place(0u, j + 3u * SIZE, last));
    let weight = Piece(gain(e.x), gain(e.y), gain(e.z), gain(e.w));
    var dWeight = Piece();
    var dBias = Piece();
    var at = first * n + e;
    for (var left = rows; left > 0u; left--) {
      let row = saved[rows - left];
      let centred = Piece(source[at.x] - row.mean, source[at.y] - row.mean, source[at.z] - row.mean, source[at.w] - row.mean);
      let d = Piece(dy[at.x], dy[at.y], dy[at.z], dy[at.w]);
      let scaled = Piece(d[0] * row.slope, d[1] * row.slope, d[2] * row.slope, d[3] * row.slope);
      dWeight = Piece(dWeight[0] + scaled[0] * centred[0], dWeight[1] + scaled[1] * centred[1], dWeight[2] + scaled[2] * centred[2], dWeight[3] + scaled[3] * centred[3]);
      dBias = Piece(dBias[0] + d[0], dBias[1] + d[1], dBias[2] + d[2], dBias[3] + d[3]);
      gradient(at.x, centred[0], scaled[0], weight[0], row);
      gradient(at.y, centred[1], scaled[1], weight[1], row);
      gradient(at.z, centred[2], scaled[2], weight[2], row);
      gradient(at.w, centred[3], scaled[3], weight[3], row);
      at += vec4<u32>(n);
    }
    if (rows > 0u) {
      storePartials(group, e.x, dWeight[0], dBias[0]);
      storePartials(group, e.y, dWeight[1], dBias[1]);
      storePartials(group, e.z, dWeight[2], dBias[2]);
      storePartials(group, e.w, dWeight[3], dBias[3]);
    }
    j += 4u * SIZE;
  }
}
