// uses: order, bits, lanes, meeting, norm
// Layer norm and RMS norm with LANES lanes to a row.
alias Accumulator = vec2<f32>;
fn combine(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> { return a + b; }

fn load(start: u32, j: u32, last: u32) -> Piece {
  let low = place(start, j, last);
  let high = place(start, j + 2u * LANES, last);
  return Piece(source[low], source[place(start, j + LANES, last)], source[high], source[place(start, j + 3u * LANES, last)]);
}

// Σ d and Σ d² of an Element of a row.
struct Sums { all: Element, squares: Element }
fn term(x: Element, near: f32, j: u32, last: u32) -> Sums {
  let d = zeroed(x - near, j, last);
  return Sums(d, d * d);
}
fn add(a: Sums, b: Sums) -> Sums { return Sums(a.all + b.all, a.squares + b.squares); }

fn finish(start: u32, j: u32, x: Element, near: f32, rest: f32, deviation: f32, last: u32) {
  // The difference to `near` first: both may be large.
  if (inside(j, last)) { write(start + j, ((x - near) - rest) * deviation * gain(j) + shift(j)); }
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + rowOf(lane);
  let part = partOf(lane);
  let pieces = select(0u, params.pieces, row < params.rows);
  let start = row * params.n;
  let last = params.n - 1u;

  let near = nearOf(start);
  var v = Piece();
  var sums = vec2<f32>(0.0);
  var j = part;
  for (var left = pieces; left > 0u; left--) {
    v = load(start, j, last);
    let low = add(term(v[0], near, j, last), term(v[1], near, j + LANES, last));
    let high = add(term(v[2], near, j + 2u * LANES, last), term(v[3], near, j + 3u * LANES, last));
    let four = add(low, high);
    sums += vec2<f32>(sumOf(four.all), sumOf(four.squares));
    j += 4u * LANES;
  }

  if (LANES > 1u) {
    let first = rowOf(lane) * LANES;
    gather(sums, first, part);
    sums = gathered(first);
  }

  let means = sums / f32(params.E);
  let rest = select(0.0, means.x, CENTRED);
  let variance = means.y - rest * rest;
  if (!isFinite(variance)) {
    let statistic = wholeRow(start, part, LANES, shrinkOf(variance));
    if (part == 0u) { statistics[row] = statistic; }
    return;
  }
  let deviation = deviationOf(variance);
  j = part;
  for (var left = pieces; left > 0u; left--) {
    if (!ONE) { v = load(start, j, last); }
    finish(start, j, v[0], near, rest, deviation, last);
    finish(start, j + LANES, v[1], near, rest, deviation, last);
    finish(start, j + 2u * LANES, v[2], near, rest, deviation, last);
    finish(start, j + 3u * LANES, v[3], near, rest, deviation, last);
    j += 4u * LANES;
  }
  if (pieces > 0u && part == 0u) { statistics[row] = vec2<f32>(near + rest, deviation); }
}
