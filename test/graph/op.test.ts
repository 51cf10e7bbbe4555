import { describe, expect, it } from 'vitest';
import type { Op, OpDef } from '../../src/graph/op.ts';
import { apply, applyOne } from '../../src/graph/record.ts';
import { type Tensor, tensor } from '../../src/index.ts';

/** What the compiler knows of an op: a line below that it let pass would fail the type check as an unused expectation. */

const dots: Op<[a: Tensor, b: Tensor], { factor: number; note?: string }, [sums: Tensor, norms: Tensor]> = {
  name: 'dots',
  infer: ([a, b], { factor }) => [
    { shape: a.shape.map((extent) => extent * factor), dtype: b.dtype },
    { shape: [], dtype: 'f32' },
  ],
  lowering: { kind: 'view', layout: (layout, { attributes: { factor } }) => (factor > 0 ? layout : null) },
  gradient: ({ inputs: [a, b] }, [dSums]) => [dSums ? a : null, b],
};

describe('an op', () => {
  const [x, y] = [tensor([1, 2]), tensor([3, 4])];

  it('gives as many outputs as it says, each a tensor', () => {
    const [sums, norms] = apply(dots, [x, y], { factor: 2 });
    expect([sums.shape, norms.shape]).toEqual([[4], []]);
    expect(applyOne(dots, [x, y], { factor: 3 }).shape).toEqual([6]);
  });

  it('is refused other inputs, attributes and outputs', () => {
    const calls = [
      // @ts-expect-error: it takes two inputs
      () => apply(dots, [x], { factor: 2 }),
      // @ts-expect-error: it takes no third one
      () => apply(dots, [x, y, x], { factor: 2 }),
      // @ts-expect-error: it needs its attribute
      () => apply(dots, [x, y]),
      // @ts-expect-error: which is a number
      () => applyOne(dots, [x, y], { factor: 'two' }),
      // @ts-expect-error: there is no third output
      () => apply(dots, [x, y], { factor: 2 })[2],
    ];
    expect(calls).toHaveLength(5);
  });

  it('says a gradient for each input, and a type for each output', () => {
    // @ts-expect-error: one input has no gradient
    const short: Op<[a: Tensor, b: Tensor]>['gradient'] = (_, [dy]) => [dy];
    // @ts-expect-error: two outputs have one type
    const few: (typeof dots)['infer'] = ([{ shape }]) => [{ shape, dtype: 'f32' }];
    // @ts-expect-error: an attribute is a plain value
    type Wrong = Op<[x: Tensor], { when: Date }>;
    const none: Wrong | null = null;
    expect([short, few, none]).toHaveLength(3);
  });

  it('is an op like any other to those who handle them all', () => {
    const ops: readonly OpDef[] = [dots];
    expect(ops.map((op) => apply(op, [x, y], { factor: 1 }).length)).toEqual([2]);
  });
});
