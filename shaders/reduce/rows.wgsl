// uses: order.wgsl
// Reduces the contiguous rows of source [outer, n]: LANES neighbouring lanes share a row, SIZE / LANES rows a workgroup.
// Each lane takes every LANES-th element; the partial results meet in workgroup memory in two levels (two barriers
// whatever LANES is). With LANES = 1 a thread owns a row and nothing is shared.
// A row may be cut into `chunks` pieces of `chunk` elements, each reduced to one Accumulator [outer, chunks]; the same
// kernel then reduces those.
// 1: output, 2: source. The source is last because a fused producer (`load`) puts its own bindings in its place.
// VECTOR: n and chunk are multiples of four, a lane takes four neighbours at a time.
// The reduction itself is `identity`, `lift`, `combine` and `finish`, a sum here; reduce.ts has the table.
alias Input = f32;
alias Element = Input;
alias Accumulator = f32;
alias Output = f32;
const SIZE: u32 = 256u;
const LANES: u32 = 256u;
const VECTOR: bool = false;
const FAN: u32 = 16u;
const BLOCK: u32 = 32u;

struct Params { outer: u32, n: u32, chunks: u32, chunk: u32, count: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<Output>;
@group(0) @binding(2) var<storage, read> source: array<Element>;

var<workgroup> partial: array<Accumulator, SIZE>;

fn identity() -> Accumulator { return 0.0; }
fn lift(value: Input, index: u32) -> Accumulator { return value; }
fn combine(a: Accumulator, b: Accumulator) -> Accumulator { return a + b; }
fn finish(a: Accumulator, count: u32) -> Output { return a; }

fn load(index: u32) -> Input { return source[index]; }
fn load4(index: u32) -> array<Input, 4> { return array<Input, 4>(load(index), load(index + 1u), load(index + 2u), load(index + 3u)); }
fn store(index: u32, value: Output) { output[index] = value; }

// Elements first, first + step, … below `end` of the row that starts at `start`.
fn reduceRow(start: u32, first: u32, step: u32, end: u32) -> Accumulator {
  var sum = identity();
  for (var j = first; j < end; j += step) {
    if (VECTOR) {
      let v = load4(start + j);
      let low = combine(lift(v[0], j), lift(v[1], j + 1u));
      let high = combine(lift(v[2], j + 2u), lift(v[3], j + 3u));
      sum = combine(sum, combine(low, high));
    } else {
      sum = combine(sum, lift(load(start + j), j));
    }
  }
  return sum;
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
  let end = select(0u, min(begin + params.chunk, params.n), inside);
  let start = (row / params.chunks) * params.n;
  let step = LANES * width;

  // Sums of sums: rounding errors grow with BLOCK + n / BLOCK, not with n.
  var sum = identity();
  for (var block = begin + along * width; block < end; block += BLOCK * step) {
    sum = combine(sum, reduceRow(start, block, step, min(end, block + BLOCK * step)));
  }

  if (LANES > 1u) {
    partial[lane] = sum;
    workgroupBarrier();
    // Lane k of the first FAN gathers k, k + FAN, …: no other lane touches those.
    if (along < FAN) {
      for (var k = FAN; along + k < LANES; k += FAN) { sum = combine(sum, partial[lane + k]); }
      partial[lane] = sum;
    }
    workgroupBarrier();
    if (along == 0u) {
      for (var k = 1u; k < min(FAN, LANES); k++) { sum = combine(sum, partial[lane + k]); }
    }
  }
  if (inside && along == 0u) { store(row, finish(sum, params.count)); }
}
