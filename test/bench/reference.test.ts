import { describe, expect, it } from 'vitest';
import { cases } from '../../bench/suites/index.ts';
import { rowNames } from '../../bench/suites/suite.ts';
import { type Matrix, Tape } from '../../bench/suites/tape.ts';
import { fillNormal, Generator } from '../../src/core/random.ts';

const draw = (tape: Tape, rows: number, columns: number, seed: number) =>
  tape.leaf(rows, columns, fillNormal(new Float32Array(rows * columns), 0, 0.5, new Generator(seed)));

/** Every op of the tape once, in one loss: 6 positions in 2 sequences, 4 wide, 2 heads, 5 classes. */
function loss(tape: Tape, [table, qkv, gain, shift, head]: readonly Matrix[]): Matrix {
  let x = tape.rows(table as Matrix, [0, 3, 3, 1, 4, 2]);
  x = tape.layerNorm(x, gain as Matrix, shift as Matrix);
  x = tape.add(x, tape.attention(tape.linear(x, qkv as Matrix), 2, 3));
  x = tape.mul(tape.sigmoid(x), tape.tanh(tape.add(tape.gelu(x), shift as Matrix)));
  const logits = tape.linear(x, head as Matrix);
  const classes = tape.crossEntropy(logits, [1, 0, 4, 2, 2, 3]);
  return tape.add(classes, tape.meanSquaredError(tape.part(logits, 1, 1), [1, 2, 3, 4, 5, 6]));
}

describe('the reference’s gradients', () => {
  it('are the slopes of the loss', () => {
    const tape = new Tape();
    const leaves = [
      draw(tape, 5, 4, 1),
      draw(tape, 12, 4, 2),
      draw(tape, 1, 4, 3),
      draw(tape, 1, 4, 4),
      draw(tape, 5, 4, 5),
    ];
    tape.backward([loss(tape, leaves)]);
    const h = 1e-5;
    const at = (moved: Matrix, index: number, by: number) => {
      const fresh = new Tape();
      const copies = leaves.map((leaf) => {
        const copy = fresh.leaf(leaf.rows, leaf.columns, leaf.data);
        if (leaf === moved) copy.data[index] = (copy.data[index] as number) + by;
        return copy;
      });
      return loss(fresh, copies).data[0] as number;
    };
    for (const leaf of leaves) {
      for (const [i, gradient] of leaf.gradient.entries()) {
        const slope = (at(leaf, i, h) - at(leaf, i, -h)) / (2 * h);
        // Third derivatives times h²/6, and the rounding of a loss of about 20 over 2h.
        expect(Math.abs(slope - gradient)).toBeLessThan(1e-8 * (1 + Math.abs(gradient)));
      }
    }
  });
});

describe('the cases', () => {
  it('cover all rows, each with one name and shape', () => {
    expect([...new Set(cases.map(({ name }) => name))].sort()).toEqual([...rowNames].sort());
    const ids = cases.map(({ name, shape }) => `${name} ${shape}`);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
