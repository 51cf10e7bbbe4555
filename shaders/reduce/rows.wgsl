// uses: order, meeting
// Reduces the contiguous rows of source [outer, n]: LANES neighbouring lanes share a row, SIZE / LANES rows a workgroup.
// A lane takes four places of its row at a time, each `step` behind the one before. With LANES = 1 a lane owns a row and
// nothing is shared.
// A row may be cut into `chunks` pieces of `chunk` elements, each reduced to one Accumulator [outer, chunks]; the same
// kernel then reduces those.
// 1: output, 2: source. The source is last because a fused producer (`load`) puts its own bindings in its place.
// VECTOR: n and chunk are multiples of four, a place is four neighbours. WHOLE: no place lies past the end.
// The reduction itself is `identity`, `lift`, `combine` and `finish`, a sum here; reduce.ts has the table.
alias Input = f32;
alias Element = Input;
alias Accumulator = f32;
alias Output = f32;
const SIZE: u32 = 256u;
const LANES: u32 = 256u;
const VECTOR: bool = false;
const WHOLE: bool = false;
const FAN: u32 = 16u;

// A lane takes `turns` times four places.
struct Params { outer: u32, n: u32, chunks: u32, chunk: u32, turns: u32, count: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Output>;
@group(0) @binding(2) var<storage, read> source: array<Element>;

fn identity() -> Accumulator { return 0.0; }
fn lift(value: Input, index: u32) -> Accumulator { return value; }
fn combine(a: Accumulator, b: Accumulator) -> Accumulator { return a + b; }
fn finish(a: Accumulator, count: u32) -> Output { return a; }

fn load(index: u32) -> Input { return source[index]; }
fn load4(index: u32) -> array<Input, 4> { return array<Input, 4>(load(index), load(index + 1u), load(index + 2u), load(index + 3u)); }
fn store(index: u32, value: Output) { output[index] = value; }

// What lies at `j` of the row that starts at `start`.
fn place(start: u32, j: u32, end: u32) -> Accumulator {
  if (!WHOLE && j >= end) { return identity(); }
  if (!VECTOR) { return lift(load(start + j), j); }
  let v = load4(start + j);
  return combine(combine(lift(v[0], j), lift(v[1], j + 1u)), combine(lift(v[2], j + 2u), lift(v[3], j + 3u)));
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let row = linearGroup(group, num_workgroups) * (SIZE / LANES) + lane / LANES;
  let along = lane % LANES;
  let inside = row < params.outer * params.chunks;
  let width = select(1u, 4u, VECTOR);

  let begin = (row % params.chunks) * params.chunk;
  let end = min(begin + params.chunk, params.n);
  let start = (row / params.chunks) * params.n;
  let step = LANES * width;

  var sum = identity();
  var j = begin + along * width;
  let turns = select(0u, params.turns, inside);
  for (var left = turns; left > 0u; left--) {
    let low = combine(place(start, j, end), place(start, j + step, end));
    let high = combine(place(start, j + 2u * step, end), place(start, j + 3u * step, end));
    sum = combine(sum, combine(low, high));
    j += 4u * step;
  }

  if (LANES > 1u) {
    gather(sum, lane - along, along);
    if (along == 0u) { sum = gathered(lane); }
  }
  if (inside && along == 0u) { store(row, finish(sum, params.count)); }
}
