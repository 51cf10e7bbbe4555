// uses: order, bits, lanes, meeting, normBackward
// Gradients of layer norm and RMS norm with LANES lanes to a row. Workgroups take their rows SIZE / LANES at a time, and a
// lane the same columns of each, so that it can add up dweight and dbias. Where a lane has ONE piece of a row, it reads x
// and dy once and keeps its sums in registers until the end; longer rows are read twice, and the sums are kept in partials
// all along (each row then has the whole workgroup).
alias Accumulator = vec2<f32>;
fn combine(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> { return a + b; }
var<workgroup> columns: array<Element, SIZE>;

fn loadX(start: u32, j: u32, row: vec2<f32>, last: u32) -> Piece {
  let low = place(start, j, last);
  let high = place(start, j + 2u * LANES, last);
  return Piece(
    (source[low] - row.x) * row.y, (source[place(start, j + LANES, last)] - row.x) * row.y,
    (source[high] - row.x) * row.y, (source[place(start, j + 3u * LANES, last)] - row.x) * row.y,
  );
}
// dy, 0 past the end of a row and outside of the block.
fn loadDy(start: u32, j: u32, last: u32, counts: f32) -> Piece {
  let low = place(start, j, last);
  let high = place(start, j + 2u * LANES, last);
  return Piece(
    zeroed(dy[low], j, last) * counts, zeroed(dy[place(start, j + LANES, last)], j + LANES, last) * counts,
    zeroed(dy[high], j + 2u * LANES, last) * counts, zeroed(dy[place(start, j + 3u * LANES, last)], j + 3u * LANES, last) * counts,
  );
}
fn gains(j: u32, last: u32) -> Piece {
  return Piece(gain(place(0u, j, last)), gain(place(0u, j + LANES, last)), gain(place(0u, j + 2u * LANES, last)), gain(place(0u, j + 3u * LANES, last)));
}
fn total(a: Piece, b: Piece) -> f32 { return sumOf((a[0] * b[0] + a[1] * b[1]) + (a[2] * b[2] + a[3] * b[3])); }

// Adds to what the lane itself has stored before.
fn addPartials(group: u32, e: u32, weight: Element, bias: Element, more: bool) {
  if (more) { storePartials(group, e, partialWeight(group, e) + weight, partialBias(group, e) + bias); } else { storePartials(group, e, weight, bias); }
}

// The sum over the lanes of a row, known to all of them.
fn rowSum(lane: u32, own: vec2<f32>) -> vec2<f32> {
  if (LANES == 1u) { return own; }
  let first = rowOf(lane) * LANES;
  // The lanes have read the sum before this one.
  workgroupBarrier();
  gather(own, first, partOf(lane));
  return gathered(first);
}

// The sum over the rows that the workgroup has at a time, known to the lanes of the first of them; in two levels where they are
// many: lanes of the first HEADS rows take in those of every HEADS-th row after them.
const HEADS: u32 = 1u;
fn columnSum(lane: u32, own: Element) -> Element {
  if (LANES == SIZE) { return own; }
  var sum = own;
  // The lanes have read the sum before this one.
  workgroupBarrier();
  columns[lane] = sum;
  workgroupBarrier();
  if (lane < HEADS * LANES) {
    for (var k = lane + HEADS * LANES; k < SIZE; k += HEADS * LANES) { sum += columns[k]; }
    columns[lane] = sum;
  }
  if (HEADS > 1u) {
    workgroupBarrier();
    if (lane < LANES) {
      for (var k = lane + LANES; k < HEADS * LANES; k += LANES) { sum += columns[k]; }
    }
  }
  return sum;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = linearGroup(groupOrder(workgroup_id, num_workgroups), num_workgroups);
  let part = partOf(lane);
  let first = group * params.block;
  let last = params.n - 1u;
  let E = f32(params.E);
  let pieces = params.pieces;

  var dWeight = Piece();
  var dBias = Piece();
  let turns = params.block / (SIZE / LANES);
  for (var turn = turns; turn > 0u; turn--) {
    let row = first + (turns - turn) * (SIZE / LANES) + rowOf(lane);
    let counts = row < params.rows;
    let start = min(row, params.rows - 1u) * params.n;
    let statistic = statistics[min(row, params.rows - 1u)];

    var x = Piece();
    var d = Piece();
    var own = vec2<f32>(0.0);
    var j = part;
    for (var left = pieces; left > 0u; left--) {
      x = loadX(start, j, statistic, last);
      d = loadDy(start, j, last, select(0.0, 1.0, counts));
      let weight = gains(j, last);
      let g = Piece(d[0] * weight[0], d[1] * weight[1], d[2] * weight[2], d[3] * weight[3]);
      own += vec2<f32>(sumOf((g[0] + g[1]) + (g[2] + g[3])), total(g, x));
      j += 4u * LANES;
    }
    var means = rowSum(lane, own) / E;
    if (!CENTRED) { means.x = 0.0; }

    j = part;
    for (var left = pieces; left > 0u; left--) {
      if (!ONE) {
        x = loadX(start, j, statistic, last);
        d = loadDy(start, j, last, select(0.0, 1.0, counts));
      }
      let weight = gains(j, last);
      for (var k = 0u; k < 4u; k++) {
        let e = j + k * LANES;
        dWeight[k] += d[k] * x[k];
        dBias[k] += d[k];
        if (counts && inside(e, last)) { write(start + e, (d[k] * weight[k] - means.x - x[k] * means.y) * statistic.y); }
        if (!ONE) {
          if (counts && inside(e, last)) { addPartials(group, e, dWeight[k], dBias[k], turn < turns); }
          dWeight[k] = Element(0.0);
          dBias[k] = Element(0.0);
        }
      }
      j += 4u * LANES;
    }
  }

  if (ONE) {
    for (var k = 0u; k < 4u; k++) {
      let e = part + k * LANES;
      let weight = columnSum(lane, dWeight[k]);
      let bias = columnSum(lane, dBias[k]);
      if (lane < LANES && first < params.rows && inside(e, last)) { storePartials(group, e, weight, bias); }
    }
  }
}
