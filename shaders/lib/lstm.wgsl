// uses: multiplyAdd
// What the kernels of LSTM layers share (gates i, f, g, o as in PyTorch). A kernel declares `weights`, W_hh [4H, H].
// Hidden size; units and batch rows of a block (4 where T is vec4<f32> and Block is mat4x4<f32>, else 1); slices into which
// threads split the sum of the recurrent product.
const H: u32 = 32u;
const WIDTH: u32 = 1u;
const SLICES: u32 = 2u;
const UNITS: u32 = H / WIDTH;
// WIDTH units of WIDTH batch rows: a column for each batch row.
alias Block = f32;
fn column(block: Block, row: u32) -> T { return block; }
// WIDTH rows of W_hh from `row` on, at vector k of each.
fn weightBlock(row: u32, k: u32) -> Block { return weights[row * UNITS + k]; }
// Adds a product of blocks; one after another a GPU fuses the products of matrices too.
fn addProduct(sum: Block, weights: Block, block: Block) -> Block { return sum + weights * block; }
