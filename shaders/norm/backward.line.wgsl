// uses: order, bits, lanes, normBackward
// Gradients of layer norm and RMS norm, as in backward.rows.wgsl but with so little text that it compiles in a third of the
// time: for small problems, whose first step is what one waits for. A workgroup of SIZE lanes takes 4 SIZE rows, twice: a
// lane goes along one row at a time for its two means, then down one column at a time for dx and sums.
struct Saved { mean: f32, slope: f32, shift: f32, tilt: f32 }
var<workgroup> saved: array<Saved, 4u * SIZE>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups);
  let first = group * 4u * SIZE;
  let rows = min(4u * SIZE, params.rows - min(first, params.rows));
  let n = params.n;

  for (var row = lane; row < rows; row += SIZE) {
    var at = (first + row) * n;
    let s = statistics[first + row];
    var g = 0.0;
    var gx = 0.0;
    for (var left = n; left > 0u; left--) {
      let weighted = dy[at] * gain(n - left);
      if (CENTRED) { g += sumOf(weighted); }
      gx += sumOf(weighted * (source[at] - s.x));
      at++;
    }
    saved[row] = Saved(s.x, s.y, g / f32(params.E) * s.y, gx / f32(params.E) * s.y * s.y * s.y);
  }
  workgroupBarrier();

  for (var e = lane; e < n; e += SIZE) {
    let weight = gain(e);
    var dWeight = Element();
    var dBias = Element();
    var at = first * n + e;
    for (var left = rows; left > 0u; left--) {
      let row = saved[rows - left];
      let centred = source[at] - row.mean;
      let d = dy[at];
      let scaled = d * row.slope;
      dWeight += scaled * centred;
      dBias += d;
      write(at, scaled * weight - row.shift - centred * row.tilt);
      at += n;
    }
    if (rows > 0u) { storePartials(group, e, dWeight, dBias); }
  }
}
