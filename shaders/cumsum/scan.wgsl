// uses: order
// Cumulative sum along the middle axis for few, long lines: a workgroup walks a line SIZE·ITEMS elements at a time. Each
// lane sums ITEMS neighbours; the lanes' sums are scanned in workgroup memory, back and forth between two halves
// (Hillis, Steele: "Data parallel algorithms", 1986).
// 1: source [outer, n, inner], 2: result [outer, n, inner]. REVERSE: sums from the end.
alias Element = f32;
const SIZE: u32 = 256u;
const ITEMS: u32 = 8u;
const REVERSE: bool = false;

struct Params { outer: u32, n: u32, inner: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Element>;
@group(0) @binding(2) var<storage, read_write> result: array<Element>;

var<workgroup> sums: array<Element, 2u * SIZE>;

// Element i of the line that starts at `first`.
fn place(first: u32, i: u32) -> u32 { return first + select(i, params.n - 1u - i, REVERSE) * params.inner; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let line = linearGroup(group, num_workgroups);
  let inside = line < params.outer * params.inner;
  let first = (line / params.inner) * params.n * params.inner + line % params.inner;

  var carry = Element();
  // The half that was written last. The next write goes to the other one, which every lane has left behind.
  var at = 0u;
  for (var start = 0u; start < params.n; start += SIZE * ITEMS) {
    let begin = start + lane * ITEMS;
    let end = select(0u, min(begin + ITEMS, params.n), inside);
    var own = Element();
    for (var i = begin; i < end; i++) { own += source[place(first, i)]; }

    at = SIZE - at;
    sums[at + lane] = own;
    workgroupBarrier();
    for (var distance = 1u; distance < SIZE; distance *= 2u) {
      var sum = sums[at + lane];
      if (lane >= distance) { sum += sums[at + lane - distance]; }
      at = SIZE - at;
      sums[at + lane] = sum;
      workgroupBarrier();
    }

    var sum = carry;
    if (lane > 0u) { sum += sums[at + lane - 1u]; }
    carry += sums[at + SIZE - 1u];
    for (var i = begin; i < end; i++) {
      sum += source[place(first, i)];
      result[place(first, i)] = sum;
    }
  }
}
