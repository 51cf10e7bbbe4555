import { describe, expect, it } from 'vitest';
import { concat, grad, stack, type Tensor, zeros } from '../../src/index.ts';
import { GridLSTM } from '../../src/models/index.ts';
import { draw, drawIds } from '../support/draw.ts';
import { expectNear } from '../support/golden.ts';
import { read, useGpu } from '../support/gpu.ts';

useGpu();

const config = { features: 3, hidden: 4, classes: 5 };
const H = config.hidden;

/** The states of all cells [R·C·H] of one grid, cell by cell in double precision. */
async function doubleLoop(model: GridLSTM, grid: ArrayLike<number>, R: number, C: number): Promise<number[]> {
  const [W, b, U] = (await read(model.input.weight, model.input.bias as Tensor, model.recurrent.weight)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const outside = { h: new Array<number>(H).fill(0), c: new Array<number>(H).fill(0) };
  const cells: (typeof outside)[] = [];
  for (let r = 0; r < R; r++) {
    for (let k = 0; k < C; k++) {
      const left = (k > 0 && cells[r * C + k - 1]) || outside;
      const above = (r > 0 && cells[(r - 1) * C + k]) || outside;
      const gate = (index: number, unit: number) => {
        const row = index * H + unit;
        let sum = b[row] as number;
        for (let f = 0; f < 3; f++) sum += (W[3 * row + f] as number) * (grid[3 * (r * C + k) + f] as number);
        for (let j = 0; j < H; j++)
          sum +=
            (U[2 * H * row + j] as number) * (left.h[j] as number) +
            (U[2 * H * row + H + j] as number) * (above.h[j] as number);
        return sum;
      };
      const c = outside.c.map(
        (_, j) =>
          sigmoid(gate(0, j)) * Math.tanh(gate(3, j)) +
          sigmoid(gate(1, j)) * (above.c[j] as number) +
          sigmoid(gate(2, j)) * (left.c[j] as number),
      );
      cells.push({ c, h: c.map((cell, j) => sigmoid(gate(4, j)) * Math.tanh(cell)) });
    }
  }
  return cells.flatMap(({ h }) => h);
}

/** The same with weft's ops, one cell at a time: [B, R, C, H]. */
function cellByCell(model: GridLSTM, x: Tensor): Tensor {
  const [B, R, C] = x.shape as [number, number, number];
  const outside = [zeros([B, H]), zeros([B, H])] as const;
  const rows: (readonly [h: Tensor, c: Tensor])[][] = [];
  for (let r = 0; r < R; r++) {
    const row: (readonly [h: Tensor, c: Tensor])[] = [];
    for (let k = 0; k < C; k++) {
      const [left, above] = [row[k - 1] ?? outside, rows[r - 1]?.[k] ?? outside];
      const share = model.input.forward(x.at(r, 1).at(k, 1));
      const sum = share.add(model.recurrent.forward(concat([left[0], above[0]], 1)));
      const [i, fAbove, fLeft, g, o] = sum.split([H, H, H, H, H], 1) as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const c = fAbove.sigmoid().mul(above[1]).add(fLeft.sigmoid().mul(left[1])).add(i.sigmoid().mul(g.tanh()));
      row.push([o.sigmoid().mul(c.tanh()), c]);
    }
    rows.push(row);
  }
  return stack(
    rows.map((row) =>
      stack(
        row.map(([h]) => h),
        1,
      ),
    ),
    1,
  );
}

describe('GridLSTM', () => {
  it.for([
    [1, 1],
    [1, 5],
    [4, 1],
    [3, 5],
    [5, 3],
  ] as const)('gives what two loops give, %s by %s', async ([R, C]) => {
    const model = new GridLSTM(config);
    const x = draw([2, R, C, 3]);
    const [given, found] = (await read(x, model.cells(x))) as [Float32Array, Float32Array];
    for (const b of [0, 1]) {
      const wanted = await doubleLoop(model, given.subarray(3 * R * C * b), R, C);
      for (const [i, want] of wanted.entries())
        expect(Math.abs((found[b * R * C * H + i] as number) - want), `[${b}][${i}]`).toBeLessThan(1e-6);
    }
  });

  it('has the gradients that two loops have, of a class for each cell', async () => {
    const model = new GridLSTM(config);
    const x = draw([2, 3, 4, 3]);
    const dy = draw([2, 3, 4, H]);
    const leaves = [x, model.input.weight, model.input.bias as Tensor, model.recurrent.weight];
    const gradients = (states: Tensor) => grad(states.mul(dy).sum(), leaves);
    const values = (await read(...gradients(model.cells(x)), ...gradients(cellByCell(model, x)))) as Float32Array[];
    for (const i of leaves.keys())
      expectNear(values[i] as Float32Array, values[leaves.length + i] as Float32Array, `gradient ${i}`);
  });

  it('looks at the last cell for the class of a grid', async () => {
    const model = new GridLSTM(config);
    const x = draw([2, 3, 4, 3]);
    const targets = drawIds([2], 5);
    const cells = model.forwardCells(x);
    const [logits, wanted, loss] = (await read(model.forward(x), cells.at(2, 1).at(3, 1), model.loss(x, targets))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    expectNear(logits, wanted, 'logits');
    expect(Math.abs((loss[0] as number) - Math.log(5))).toBeLessThan(0.5);
    expect(cells.shape).toEqual([2, 3, 4, 5]);
    expect(model.loss(x, drawIds([2, 3, 4], 5)).shape).toEqual([]);
  });

  it('says what it wants', () => {
    const model = new GridLSTM(config);
    expect(() => model.forward(draw([2, 3, 4]))).toThrow('[GridLSTM] the grids must be [B, R, C, 3], got [2, 3, 4]');
    expect(() => model.forward(draw([2, 3, 4, 2]))).toThrow(
      '[GridLSTM] the grids must be [B, R, C, 3], got [2, 3, 4, 2]',
    );
    expect(() => model.loss(draw([2, 3, 4, 3]), drawIds([3], 5))).toThrow(
      '[GridLSTM] targets must be [B] = [2] or [B, R, C] = [2, 3, 4], got [3]',
    );
    expect(() => new GridLSTM({ features: 3, hidden: 4 } as never)).toThrow('[GridLSTM] needs the option classes');
  });
});
