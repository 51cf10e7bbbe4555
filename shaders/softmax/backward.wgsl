// uses: order, bits, lanes, meeting
// Gradient of softmax, dx = y (dy − Σ y dy), or of its logarithm (LOG), dx = dy − exp(y) Σ dy, along the middle axis of
// [outer, n, inner].
// 1: dx, 2: y, 3: dy.
const LOG: bool = false;

// n and inner count Elements; a lane has `pieces` pieces of its row.
struct Params { rows: u32, n: u32, inner: u32, pieces: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> y: array<Element>;
@group(0) @binding(3) var<storage, read> dy: array<Element>;

alias Accumulator = Row;
fn combine(a: Row, b: Row) -> Row { return a + b; }

fn loadY(start: u32, j: u32, step: u32, last: u32) -> Piece {
  return Piece(y[place(start, j, last)], y[place(start, j + step, last)], y[place(start, j + 2u * step, last)], y[place(start, j + 3u * step, last)]);
}
fn loadDy(start: u32, j: u32, step: u32, last: u32) -> Piece {
  return Piece(dy[place(start, j, last)], dy[place(start, j + step, last)], dy[place(start, j + 2u * step, last)], dy[place(start, j + 3u * step, last)]);
}

// What an Element adds to the sum.
fn term(y: Element, dy: Element, j: u32, last: u32) -> Element {
  if (LOG) { return zeroed(dy, j, last); }
  return zeroed(y * dy, j, last);
}

fn write(start: u32, j: u32, y: Element, dy: Element, sum: Row, last: u32) {
  if (!inside(j, last)) { return; }
  if (LOG) { output[start + j] = dy - select(y, decay(y), y <= Element(1.0)) * sum; } else { output[start + j] = y * (dy - sum); }
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + rowOf(lane);
  let part = partOf(lane);
  let pieces = select(0u, params.pieces, row < params.rows);
  let start = (row / params.inner) * params.n * params.inner + row % params.inner;
  let step = LANES * params.inner;
  let last = (params.n - 1u) * params.inner;

  var p = Piece();
  var d = Piece();
  var sum = Row(0.0);
  var j = part * params.inner;
  for (var left = pieces; left > 0u; left--) {
    // The logarithm itself is not part of the sum.
    if (!LOG || ONE) { p = loadY(start, j, step, last); }
    d = loadDy(start, j, step, last);
    let low = term(p[0], d[0], j, last) + term(p[1], d[1], j + step, last);
    let high = term(p[2], d[2], j + 2u * step, last) + term(p[3], d[3], j + 3u * step, last);
    sum += sumOf(low + high);
    j += 4u * step;
  }

  if (LANES > 1u) {
    let first = rowOf(lane) * LANES;
    gather(sum, first, part);
    sum = gathered(first);
  }

  j = part * params.inner;
  for (var left = pieces; left > 0u; left--) {
    if (!ONE) {
      p = loadY(start, j, step, last);
      d = loadDy(start, j, step, last);
    }
    write(start, j, p[0], d[0], sum, last);
    write(start, j + step, p[1], d[1], sum, last);
    write(start, j + 2u * step, p[2], d[2], sum, last);
    write(start, j + 3u * step, p[3], d[3], sum, last);
    j += 4u * step;
  }
}
