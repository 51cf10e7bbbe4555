// uses: order, ranking
// Top k by tournament, for few winners: an invocation picks the best k of a chunk of candidates, keeping their list sorted
// in the output itself; further stages do the same to those until one chunk is left.
// 1: source [rows, count], 2: values [rows, chunks·k], 3: indices [rows, chunks·k]; stages after the first read the
// indices of their candidates from a binding 4 [rows, count], which topK declares. An index of ABSENT fills a list
// where a chunk has fewer than k candidates.
// LARGEST: descending, else ascending. Equal values keep the order of their indices.
const SIZE: u32 = 8u;
const ABSENT: u32 = 0xffffffffu;

struct Params { rows: u32, count: u32, k: u32, chunks: u32, chunk: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

// The index of candidate j of a row.
fn candidate(row: u32, j: u32) -> u32 { return j; }

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let linear = linearGroup(group, num_workgroups) * SIZE + lane;
  let row = linear / params.chunks;
  if (row >= params.rows) { return; }

  let list = linear * params.k;
  let first = (linear % params.chunks) * params.chunk;
  let end = min(first + params.chunk, params.count);
  var filled = 0u;
  var worst = 0u;
  for (var j = first; j < end; j++) {
    let value = source[row * params.count + j];
    let order = orderOf(value);
    let index = candidate(row, j);
    if (index == ABSENT || (filled == params.k && order <= worst)) { continue; }
    filled = min(filled + 1u, params.k);
    var place = list + filled - 1u;
    while (place > list && order > orderOf(values[place - 1u])) {
      values[place] = values[place - 1u];
      indices[place] = indices[place - 1u];
      place--;
    }
    values[place] = value;
    indices[place] = index;
    worst = orderOf(values[list + filled - 1u]);
  }
  for (; filled < params.k; filled++) { indices[list + filled] = ABSENT; }
}
