// A sum over the rows of some matrix, which the first `params.sides` workgroups of a kernel make before it begins with its
// own work: a dispatch less. An invocation sums a column, eight rows at a time. See sideSum.ts.
// Whether there is one; else all of it is left out of what is compiled.
const SIDED: bool = false;
fn sideSource(index: u32) -> f32 { return 0.0; }
fn sideStore(column: u32, value: f32) {}

fn sideSum(column: u32) {
  let width = params.sideColumns;
  if (column >= width) { return; }
  // Loops end at places, not after numbers of rows: Mesa's software driver puts a uniform that alone decides how long a loop
  // is into the code, and would compile again in each dispatch.
  let end = column + params.sideRows * width;
  let wholeEnd = column + params.sideRows / 8u * 8u * width;
  var low = vec4<f32>();
  var high = vec4<f32>();
  var index = column;
  for (; index < wholeEnd; index += 8u * width) {
    let next = index + 4u * width;
    low += vec4<f32>(sideSource(index), sideSource(index + width), sideSource(index + 2u * width), sideSource(index + 3u * width));
    high += vec4<f32>(sideSource(next), sideSource(next + width), sideSource(next + 2u * width), sideSource(next + 3u * width));
  }
  low += high;
  var sum = (low.x + low.y) + (low.z + low.w);
  for (; index < end; index += width) { sum += sideSource(index); }
  sideStore(column, sum);
}
