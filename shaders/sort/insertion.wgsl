// uses: order, ranking
// Sorts chunks of rows, each by an invocation, which moves what it takes to its place in the output. Rows that are longer than
// a chunk are merged from theirs: see merge.wgsl.
// 1: source [rows, n], 2: values [rows, n], 3: indices [rows, n], the places in the row that they come from.
alias Element = f32;
const SIZE: u32 = 8u;

// chunks: of each row, with `chunk` elements each.
struct Params { rows: u32, n: u32, chunks: u32, chunk: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> source: array<Element>;
@group(0) @binding(2) var<storage, read_write> values: array<Element>;
@group(0) @binding(3) var<storage, read_write> indices: array<u32>;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let linear = linearGroup(group, num_workgroups) * SIZE + lane;
  let row = linear / params.chunks;
  if (row >= params.rows) { return; }

  let first = (linear % params.chunks) * params.chunk;
  let start = row * params.n + first;
  for (var i = 0u; i < min(params.chunk, params.n - first); i++) {
    let value = source[start + i];
    let order = orderOf(value);
    var place = start + i;
    // Those before it came earlier, and stay where they are as good.
    while (place > start && order > orderOf(values[place - 1u])) {
      values[place] = values[place - 1u];
      indices[place] = indices[place - 1u];
      place--;
    }
    values[place] = value;
    indices[place] = first + i;
  }
}
