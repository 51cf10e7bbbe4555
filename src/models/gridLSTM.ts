import { ShapeError } from '../core/errors.ts';
import { count, declareOptions } from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { expectDType, expectTensor } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { Linear } from '../nn/linear.ts';
import { Module } from '../nn/module.ts';
import { crossEntropy } from '../ops/crossEntropy.ts';
import { add, mul, sigmoid, tanh, zeros } from '../ops/elementwise.ts';
import { concat, split } from '../ops/join.ts';
import { scan } from '../ops/scan.ts';
import { at, pad, slice } from '../ops/slice.ts';
import { permute, reshape } from '../ops/view.ts';

/** Sizes of a `GridLSTM`. */
export interface GridLSTMConfig {
  /** Features of a cell of the grid, I. */
  features: number;
  /** Width of the state of a cell, H. */
  hidden: number;
  /** Classes to tell apart, K. */
  classes: number;
}
const gridConfig = declareOptions<GridLSTMConfig>({ features: count, hidden: count, classes: count }, [
  'features',
  'hidden',
  'classes',
]);

/** i, a forget gate for the cell above and one for the cell on the left, g, o. */
const gates = 5;

/**
 * A long short-term memory in two dimensions (Graves, Fernández and Schmidhuber 2007), and a linear head: the state of a cell
 * is made of its features and of the states above and on the left of it, so that it knows all that lies above and to the left.
 * The cells of one anti-diagonal wait for none of each other and are one product: a grid of R rows and C columns takes
 * R + C − 1 steps instead of R·C.
 */
export class GridLSTM extends Module {
  /** The features' share of the gates: W and b, [5·H, I]; gates are i, f above, f left, g, o. */
  readonly input: Linear;
  /** The states' share of the gates: U of the cell on the left, then of that above, [5·H, 2·H]. */
  readonly recurrent: Linear;
  /** Scores of the classes, [..., H] → [..., K]. */
  readonly head: Linear;
  /** The configuration. */
  readonly config: Readonly<GridLSTMConfig>;

  constructor(config: GridLSTMConfig) {
    super();
    this.config = gridConfig('GridLSTM', config);
    const { features, hidden, classes } = config;
    this.input = new Linear(features, gates * hidden);
    this.recurrent = new Linear(2 * hidden, gates * hidden, { bias: false });
    this.head = new Linear(hidden, classes);
  }

  /** Grids x [B, R, C, I] → logits [B, K] of the last cell, at the lower right, which knows the whole grid. */
  forward(x: Tensor): Tensor {
    const { last } = this.#run(x);
    return this.head.forward(last);
  }

  /** Grids x [B, R, C, I] → logits [B, R, C, K] of all cells. */
  forwardCells(x: Tensor): Tensor {
    return this.head.forward(this.cells(x));
  }

  /** Grids x [B, R, C, I] → the states of all cells [B, R, C, H]. */
  cells(x: Tensor): Tensor {
    const { diagonals } = this.#run(x); // [D, R, B, H]
    const [, R, C] = x.shape as [number, number, number];
    const [D, , B, H] = diagonals.shape as [number, number, number, number];
    // Row r is to begin r places later: rows that are one longer each begin one place later than the last.
    const flat = reshape(permute(diagonals, [1, 0, 2, 3]), [R * D, B * H]);
    const longer = reshape(
      pad(flat, [
        [0, R],
        [0, 0],
      ]),
      [R, D + 1, B, H],
    );
    return permute(slice(longer, [null, [0, C]]), [2, 0, 1, 3]);
  }

  /** Mean cross-entropy in nats of targets (i32 or u32), the classes of whole grids [B] or of all cells [B, R, C]. */
  loss(x: Tensor, targets: Tensor): Tensor {
    this.#check(x);
    expectDType('GridLSTM', 'targets', targets, ['i32', 'u32']);
    const cells = x.shape.slice(0, 3);
    if (sameShape(targets.shape, cells)) return crossEntropy(this.forwardCells(x), targets);
    if (!sameShape(targets.shape, cells.slice(0, 1)))
      throw new ShapeError(
        `[GridLSTM] targets must be [B] = [${cells[0]}] or [B, R, C] = ${formatShape(cells)}, got ${formatShape(targets.shape)}`,
      );
    return crossEntropy(this.forward(x), targets);
  }

  /** The states of each anti-diagonal, cell (r, d − r) at row r of d: [D, R, B, H]; that of the last cell: [B, H]. */
  #run(x: Tensor): { diagonals: Tensor; last: Tensor } {
    this.#check(x);
    const { hidden: H } = this.config;
    const [B, R, C] = x.shape as [number, number, number];
    const D = R + C - 1;
    const shares = permute(this.input.forward(x), [1, 2, 0, 3]); // [R, C, B, 5·H]
    // Row r begins r places later, as a row does that is one too long for its place. Zeros stand where a diagonal leaves the
    // grid: with gates of 0 a cell on the left of the grid has a state of 0 (g is 0), and nobody reads those on the right.
    const longer = reshape(
      pad(shares, [
        [0, 0],
        [0, R],
        [0, 0],
        [0, 0],
      ]),
      [R * (D + 1), B * gates * H],
    );
    const skewed = reshape(slice(longer, [[0, R * D]]), [R, D, B, gates * H]);
    const start = zeros([R, B, H]);
    const { carry, ys } = scan(
      ([h, c], [share]) => {
        const [left, cLeft] = [h as Tensor, c as Tensor]; // [R, B, H]
        const [above, cAbove] = [oneLower(left), oneLower(cLeft)];
        const sum = add(share as Tensor, this.recurrent.forward(concat([left, above], 2))); // [R, B, 5·H]
        const [i, fAbove, fLeft, g, o] = split(sum, Array<number>(gates).fill(H), 2) as [
          Tensor,
          Tensor,
          Tensor,
          Tensor,
          Tensor,
        ];
        const kept = add(mul(sigmoid(fAbove), cAbove), mul(sigmoid(fLeft), cLeft));
        const next = add(kept, mul(sigmoid(i), tanh(g)));
        const state = mul(sigmoid(o), tanh(next));
        return { carry: [state, next], y: [state] };
      },
      [start, start],
      [permute(skewed, [1, 0, 2, 3])],
    );
    return { diagonals: ys[0] as Tensor, last: at(carry[0] as Tensor, R - 1) };
  }

  #check(x: Tensor): void {
    expectTensor('GridLSTM', 'the grids', x);
    const { features } = this.config;
    if (x.rank !== 4 || x.shape[3] !== features)
      throw new ShapeError(`[GridLSTM] the grids must be [B, R, C, ${features}], got ${formatShape(x.shape)}`);
  }
}

/** [R, B, H], each row at the place of the next, zeros at the first. */
function oneLower(x: Tensor): Tensor {
  return slice(
    pad(x, [
      [1, 0],
      [0, 0],
      [0, 0],
    ]),
    [[0, x.shape[0] as number]],
  );
}
