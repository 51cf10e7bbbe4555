// uses: order, bits, lanes, meeting
// Softmax, or its logarithm (LOG), along the middle axis of [outer, n, inner]. Lanes walk over their pieces once for the
// maximum m and the sum of exp(x − m), which shrinks whenever m grows, and once more for the result; the pairs of a row
// meet in workgroup memory in two levels (Milakov, Gimelshein: "Online normalizer calculation for softmax", 2018).
// 1: output, 2: source.
const LOG: bool = false;

// n and inner count Elements; a lane has `pieces` pieces of its row.
struct Params { rows: u32, n: u32, inner: u32, pieces: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Element>;
@group(0) @binding(2) var<storage, read> source: array<Element>;

struct Accumulator { most: Row, sum: Row }
fn combine(a: Accumulator, b: Accumulator) -> Accumulator {
  let m = max(a.most, b.most);
  return Accumulator(m, a.sum * decayRow(a.most - m) + b.sum * decayRow(b.most - m));
}

fn load(start: u32, j: u32, step: u32, last: u32) -> Piece {
  let low = place(start, j, last);
  let high = place(start, j + 2u * step, last);
  return Piece(source[low], source[place(start, j + step, last)], source[high], source[place(start, j + 3u * step, last)]);
}

fn write(start: u32, j: u32, x: Element, most: Row, scale: Row, last: u32) {
  if (!inside(j, last)) { return; }
  if (LOG) { output[start + j] = (x - most) - scale; } else { output[start + j] = decay(x - most) * scale; }
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

  var v = Piece();
  var whole = Accumulator(Row(-3.4028234e38), Row(0.0));
  var j = part * params.inner;
  for (var left = pieces; left > 0u; left--) {
    v = load(start, j, step, last);
    let m = max(whole.most, maxOf(max(max(v[0], v[1]), max(v[2], v[3]))));
    let low = zeroed(decay(v[0] - m), j, last) + zeroed(decay(v[1] - m), j + step, last);
    let high = zeroed(decay(v[2] - m), j + 2u * step, last) + zeroed(decay(v[3] - m), j + 3u * step, last);
    whole = Accumulator(m, whole.sum * decayRow(whole.most - m) + sumOf(low + high));
    j += 4u * step;
  }

  if (LANES > 1u) {
    let first = rowOf(lane) * LANES;
    gather(whole, first, part);
    whole = gathered(first);
  }

  let total = totalOf(whole.sum);
  let scale = select(1.0 / total, logOf(total), LOG);
  j = part * params.inner;
  for (var left = pieces; left > 0u; left--) {
    if (!ONE) { v = load(start, j, step, last); }
    write(start, j, v[0], whole.most, scale, last);
    write(start, j + step, v[1], whole.most, scale, last);
    write(start, j + 2u * step, v[2], whole.most, scale, last);
    write(start, j + 3u * step, v[3], whole.most, scale, last);
    j += 4u * step;
  }
}
