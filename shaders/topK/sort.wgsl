// uses: order, ranking
// Top k by tournament: a workgroup sorts a chunk of candidates (bitonic: Batcher, "Sorting networks and their
// applications", 1968) and keeps the best k; further stages do the same to those until one chunk is left.
// 1: source [rows, count], 2: values [rows, chunks·k], 3: indices [rows, chunks·k]; stages after the first read the
// indices of their candidates from a binding 4 [rows, count], which topK declares. An index of ABSENT fills a list
// where a chunk has fewer than k candidates.
// CHUNK: candidates of a workgroup, a power of two. LARGEST: descending, else ascending. Equal values keep the order of
// their indices.
const SIZE: u32 = 256u;
const CHUNK: u32 = 2048u;
const ABSENT: u32 = 0xffffffffu;

struct Params { rows: u32, count: u32, k: u32, chunks: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

// (order of the value, index)
var<workgroup> entries: array<vec2<u32>, CHUNK>;

// The index of candidate j of a row.
fn candidate(row: u32, j: u32) -> u32 { return j; }

fn valueOf(order: u32) -> f32 {
  let ascending = select(~order, order, LARGEST);
  return bitcast<f32>(select(~ascending, ascending ^ 0x80000000u, ascending >= 0x80000000u));
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let linear = linearGroup(group, num_workgroups);
  let row = linear / params.chunks;
  let first = (linear % params.chunks) * CHUNK;
  let inside = row < params.rows;

  for (var i = lane; i < CHUNK; i += SIZE) {
    let j = first + i;
    var entry = vec2<u32>(0u, ABSENT);
    if (inside && j < params.count) {
      let index = candidate(row, j);
      if (index != ABSENT) { entry = vec2<u32>(orderOf(source[row * params.count + j]), index); }
    }
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

  for (var place = lane; inside && place < params.k; place += SIZE) {
    let to = linear * params.k + place;
    values[to] = valueOf(entries[place].x);
    indices[to] = entries[place].y;
  }
}
