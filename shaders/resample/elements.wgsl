// uses: order
// y = R·x·Cᵀ for each plane of x [planes, H, W], where R [OH, H] and C [OW, W] are matrices of bands: what is not 0 in a row
// lies together. Average pools are such products, interpolation is, and so are the gradients of both. An invocation for
// each element of y [planes, OH, OW].
//
// 1: x, 2: table, 3: output. The table has a line for each row of R, and behind those one for each of C: the first column
// that is not 0, how many there are, and their numbers. ROWS, COLUMNS: whether there is R and C, or else the axis stays.
const ROWS: bool = true;
const COLUMNS: bool = true;
const SIZE: u32 = 64u;

struct Params { planes: u32, H: u32, W: u32, OH: u32, OW: u32, rowLine: u32, columnTable: u32, columnLine: u32 }

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read_write> output: array<f32>;

fn store(index: u32, value: f32) { output[index] = value; }

// Σ over the columns of a row of x.
fn alongRow(first: u32, column: u32, line: u32) -> f32 {
  if (!COLUMNS) { return x[first + column]; }
  let start = first + u32(table[line]);
  let end = start + u32(table[line + 1u]);
  var number = line + 2u;
  var sum = 0.0;
  for (var index = start; index < end; index++) {
    sum += table[number] * x[index];
    number++;
  }
  return sum;
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let index = linearGroup(group, num_workgroups) * SIZE + lane;
  let line = index / params.OW;
  let column = index - line * params.OW;
  let plane = line / params.OH;
  if (plane >= params.planes) { return; }
  let row = line - plane * params.OH;
  let columnLine = params.columnTable + column * params.columnLine;
  if (!ROWS) {
    store(index, alongRow((plane * params.H + row) * params.W, column, columnLine));
    return;
  }
  let rowLine = row * params.rowLine;
  let start = plane * params.H + u32(table[rowLine]);
  let end = start + u32(table[rowLine + 1u]);
  var number = rowLine + 2u;
  var sum = 0.0;
  for (var at = start; at < end; at++) {
    sum += table[number] * alongRow(at * params.W, column, columnLine);
    number++;
  }
  store(index, sum);
}
