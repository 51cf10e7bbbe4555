// uses: order, ranking
// Sorts chunks of rows, each by a workgroup (bitonic: Batcher, "Sorting networks and their applications", 1968). Rows that are
// longer than a chunk are merged from theirs: see merge.wgsl.
// 1: source [rows, n], 2: values [rows, n], 3: indices [rows, n], the places in the row that they come from. CHUNK: a power of two.
alias Element = f32;
const SIZE: u32 = 256u;
const CHUNK: u32 = 2048u;

// chunks: of each row.
struct Params { rows: u32, n: u32, chunks: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Element>;
@group(0) @binding(2) var<storage, read_write> values: array<Element>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

// (order of the value, index); what fills a chunk stands behind all else.
var<workgroup> entries: array<vec2<u32>, CHUNK>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let linear = linearGroup(group, num_workgroups);
  let row = linear / params.chunks;
  let first = (linear % params.chunks) * CHUNK;
  let end = select(0u, min(first + CHUNK, params.n), row < params.rows);

  for (var i = lane; i < CHUNK; i += SIZE) {
    let j = first + i;
    var entry = vec2<u32>(0u, 0xffffffffu);
    if (j < end) { entry = vec2<u32>(orderOf(source[row * params.n + j]), j); }
    entries[i] = entry;
  }
  workgroupBarrier();

  for (var run = 2u; run <= CHUNK; run *= 2u) {
    for (var distance = run / 2u; distance > 0u; distance /= 2u) {
      for (var pair = lane; pair < CHUNK / 2u; pair += SIZE) {
        let low = 2u * pair - (pair & (distance - 1u));
        let a = entries[low];
        let b = entries[low + distance];
        if (before(b, a) == ((low & run) == 0u)) {
          entries[low] = b;
          entries[low + distance] = a;
        }
      }
      workgroupBarrier();
    }
  }

  for (var i = lane; first + i < end; i += SIZE) {
    let index = entries[i].y;
    let to = row * params.n + first + i;
    values[to] = source[row * params.n + index];
    indices[to] = index;
  }
}
