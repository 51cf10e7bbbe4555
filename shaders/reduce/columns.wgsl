// uses: order
// Reduces the middle axis of source [outer, n, inner]: neighbouring lanes take neighbouring columns, so that loads
// coalesce; LANES lanes share a column, SIZE / LANES columns a workgroup, and four rows are loaded at a time. The partial
// results of a column meet in workgroup memory (one barrier). With LANES = 1 a lane owns a column and nothing is shared.
// The axis may be cut into `chunks` pieces of `chunk` elements, each reduced to one Accumulator
// [outer, chunks, inner]; the same kernel then reduces those.
// 1: output, 2: source. The source is last because a fused producer (`load`) puts its own bindings in its place.
// Where types are vec4, a column is four of the array's, and `inner` counts those. WHOLE: no lane's rows lie past the end.
// The reduction itself is `identity`, `lift`, `combine` and `finish`, a sum here; reduce.ts has the table.
alias Input = f32;
alias Accumulator = f32;
alias Output = f32;
// What the arrays hold, where hooks take one number at a time.
alias Source = Input;
alias Result = Output;
const SIZE: u32 = 256u;
const LANES: u32 = 8u;
const COLUMNS: u32 = SIZE / LANES;
const WHOLE: bool = false;

// A lane takes `turns` times four rows.
struct Params { outer: u32, n: u32, inner: u32, chunks: u32, chunk: u32, turns: u32, count: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Result>;
@group(0) @binding(2) var<storage, read> source: array<Source>;

var<workgroup> partial: array<Accumulator, SIZE>;

fn identity() -> Accumulator { return 0.0; }
fn lift(value: Input, index: u32) -> Accumulator { return value; }
fn combine(a: Accumulator, b: Accumulator) -> Accumulator { return a + b; }
fn finish(a: Accumulator, count: u32) -> Output { return a; }

fn load(index: u32) -> Source { return source[index]; }
fn store(index: u32, value: Result) { output[index] = value; }
fn fetch(index: u32) -> Input { return load(index); }
fn write(index: u32, value: Output) { store(index, value); }

// What lies in row `j` of the column that starts at `start`.
fn place(start: u32, j: u32, end: u32) -> Accumulator {
  if (!WHOLE && j >= end) { return identity(); }
  return lift(fetch(start + j * params.inner), j);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  // Linear in [outer, chunks, inner].
  let column = linearGroup(group, num_workgroups) * COLUMNS + lane % COLUMNS;
  let along = lane / COLUMNS;
  let inside = column < params.outer * params.chunks * params.inner;

  let piece = column / params.inner;
  let begin = (piece % params.chunks) * params.chunk;
  let end = min(begin + params.chunk, params.n);
  let start = (piece / params.chunks) * params.n * params.inner + column % params.inner;

  var sum = identity();
  var j = begin + along;
  let turns = select(0u, params.turns, inside);
  for (var left = turns; left > 0u; left--) {
    let low = combine(place(start, j, end), place(start, j + LANES, end));
    let high = combine(place(start, j + 2u * LANES, end), place(start, j + 3u * LANES, end));
    sum = combine(sum, combine(low, high));
    j += 4u * LANES;
  }

  if (LANES > 1u) {
    partial[lane] = sum;
    workgroupBarrier();
    if (along == 0u) {
      for (var k = COLUMNS; k < SIZE; k += COLUMNS) { sum = combine(sum, partial[lane + k]); }
    }
  }
  if (inside && along == 0u) { write(column, finish(sum, params.count)); }
}
