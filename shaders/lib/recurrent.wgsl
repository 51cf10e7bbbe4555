// uses: multiplyAdd
// What the kernels of recurrent layers share. A kernel declares `weights`, W_hh [GATES . H, H].
// Hidden size; units and batch rows of a block (4 where T is vec4<f32> and Block is mat4x4<f32>, else 1); slices into which
// threads split the sum of the recurrent product.
const H: u32 = 32u;
const WIDTH: u32 = 1u;
const SLICES: u32 = 2u;
const UNITS: u32 = H / WIDTH;
// Of the cell: gates that h is multiplied for, and whether it has a state c beside h.
const GATES: u32 = 1u;
const HAS_C: bool = false;
// Whether each batch row ends at a length of its own: steps beyond it leave its state as it is.
const HAS_LENGTHS: bool = false;
fn lengthOf(row: u32) -> u32 { return 0u; }
// What a step of a cell gives.
struct State { h: T, c: T }
// WIDTH units of WIDTH batch rows: a column for each batch row.
alias Block = f32;
fn column(block: Block, row: u32) -> T { return block; }
// WIDTH rows of W_hh from `row` on, at vector k of each.
fn weightBlock(row: u32, k: u32) -> Block { return weights[row * UNITS + k]; }
// Adds a product of blocks; one after another a GPU fuses the products of matrices too.
fn addProduct(sum: Block, weights: Block, block: Block) -> Block { return sum + weights * block; }
