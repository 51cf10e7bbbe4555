// uses: order.wgsl
// Reduces the middle axis of source [outer, n, inner]: neighbouring lanes take neighbouring columns, so that loads
// coalesce; LANES lanes share a column, SIZE / LANES columns a workgroup. The partial results of a column meet in
// workgroup memory (one barrier). With LANES = 1 a thread owns a column and nothing is shared.
// The axis may be cut into `chunks` pieces of `chunk` elements, each reduced to one Accumulator
// [outer, chunks, inner]; the same kernel then reduces those.
// 1: output, 2: source. The source is last because a fused producer (`load`) puts its own bindings in its place.
// The reduction itself is `identity`, `lift`, `combine` and `finish`, a sum here; reduce.ts has the table.
alias Input = f32;
alias Accumulator = f32;
alias Output = f32;
const SIZE: u32 = 256u;
const LANES: u32 = 8u;
const COLUMNS: u32 = SIZE / LANES;
const BLOCK: u32 = 32u;

struct Params { outer: u32, n: u32, inner: u32, chunks: u32, chunk: u32, count: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Output>;
@group(0) @binding(2) var<storage, read> source: array<Input>;

var<workgroup> partial: array<Accumulator, SIZE>;

fn identity() -> Accumulator { return 0.0; }
fn lift(value: Input, index: u32) -> Accumulator { return value; }
fn combine(a: Accumulator, b: Accumulator) -> Accumulator { return a + b; }
fn finish(a: Accumulator, count: u32) -> Output { return a; }

fn load(index: u32) -> Input { return source[index]; }
fn store(index: u32, value: Output) { output[index] = value; }

// Elements first, first + LANES, … below `end` of the column that starts at `start`.
fn reduceColumn(start: u32, first: u32, end: u32) -> Accumulator {
  var sum = identity();
  for (var j = first; j < end; j += LANES) { sum = combine(sum, lift(load(start + j * params.inner), j)); }
  return sum;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  // Linear in [outer, chunks, inner].
  let place = linearGroup(group, num_workgroups) * COLUMNS + lane % COLUMNS;
  let along = lane / COLUMNS;
  let inside = place < params.outer * params.chunks * params.inner;

  let column = place % params.inner;
  let piece = place / params.inner;
  let begin = (piece % params.chunks) * params.chunk;
  let end = select(0u, min(begin + params.chunk, params.n), inside);
  let start = (piece / params.chunks) * params.n * params.inner + column;

  // Sums of sums: rounding errors grow with BLOCK + n / BLOCK, not with n.
  var sum = identity();
  for (var block = begin + along; block < end; block += BLOCK * LANES) {
    sum = combine(sum, reduceColumn(start, block, min(end, block + BLOCK * LANES)));
  }

  if (LANES > 1u) {
    partial[lane] = sum;
    workgroupBarrier();
    if (along == 0u) {
      for (var k = COLUMNS; k < SIZE; k += COLUMNS) { sum = combine(sum, partial[lane + k]); }
    }
  }
  if (inside && along == 0u) { store(place, finish(sum, params.count)); }
}
