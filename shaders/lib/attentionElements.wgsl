// What rows of an operand of attention are made of: f32, or vec4<f32> (with the load and store hooks replaced) where head size,
// strides and offsets are multiples of four.
alias Element = f32;
// Which of four elements of a row there are.
fn inside(column: u32) -> vec4<bool> { return 4u * column + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(params.D); }
