// Blocks of 4×4 for the kernels of a product that keep C in registers, beside product.wgsl. Column i of an A block is row
// m+i along k, column i of a B block is row k+i along n, so that c += b * a has row m+i of C in its column i. An operand that
// is contiguous the other way is read as it lies and transposed in registers: NN, NT, TN and TT cost the same.
fn blockA(start: u32, m: u32, k: u32) -> mat4x4<f32> {
  let lead = params.aLead;
  let first = start + select(m * lead + k, k * lead + m, A_TRANSPOSED);
  let block = mat4x4<f32>(readA(first), readA(first + lead), readA(first + 2u * lead), readA(first + 3u * lead));
  if (A_TRANSPOSED) { return transpose(block); }
  return block;
}
fn blockB(start: u32, k: u32, n: u32) -> mat4x4<f32> {
  let lead = params.bLead;
  let first = start + select(k * lead + n, n * lead + k, B_TRANSPOSED);
  let block = mat4x4<f32>(readB(first), readB(first + lead), readB(first + 2u * lead), readB(first + 3u * lead));
  if (B_TRANSPOSED) { return transpose(block); }
  return block;
}
// The same at the end of K: zeros from there on, in both operands, since what is read there may be infinite.
fn lastA(start: u32, m: u32, k: u32) -> mat4x4<f32> { return transpose(clip(transpose(blockA(start, m, k)), k)); }
fn lastB(start: u32, k: u32, n: u32) -> mat4x4<f32> { return clip(blockB(start, k, n), k); }
fn clip(block: mat4x4<f32>, k: u32) -> mat4x4<f32> {
  if (K_WHOLE) { return block; }
  let zero = vec4<f32>();
  return mat4x4<f32>(
    select(zero, block[0], k < params.K), select(zero, block[1], k + 1u < params.K),
    select(zero, block[2], k + 2u < params.K), select(zero, block[3], k + 3u < params.K));
}

// Σₖ of four lines of one operand, for a slice of K, as sums of sums: rounding errors grow with SPAN + K / SPAN, not with K.
const SPAN: u32 = 128u;
fn sumLines(index: u32) {
  let lines = select(params.N, params.M, SUMMED == 1u);
  let quarter = (lines + 3u) / 4u;
  let split = index / quarter;
  if (split >= params.splits) { return; }
  let line = 4u * (index % quarter);
  let end = min((split + 1u) * params.slice, params.K);
  var sum = vec4<f32>();
  for (var span = split * params.slice; span < end; span += SPAN) {
    var part = vec4<f32>();
    for (var k = span; k < min(end, span + SPAN); k += 4u) {
      let block = linesAt(line, k);
      part += block[0] + block[1] + block[2] + block[3];
    }
    sum += part;
  }
  for (var j = 0u; j < min(4u, lines - line); j++) { storeSum(split * lines + line + j, sum[j]); }
}
// Column i is step k+i of four lines of the summed operand.
fn linesAt(line: u32, k: u32) -> mat4x4<f32> {
  if (SUMMED == 1u) { return transpose(lastA(params.aOffset, line, k)); }
  return lastB(params.bOffset, k, line);
}
