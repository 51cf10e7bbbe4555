import { describe, expect, it } from 'vitest';
import { erf } from './elementwise.ts';
import { directional, finiteGradient, inner } from './finite.ts';
import { evaluate, type Ref, ref, rules } from './index.ts';
import { sum } from './ref.ts';

const vector = (...values: number[]) => ref([values.length], values);
const numbers = (
  op: string,
  ...[inputs, attributes]: [Parameters<typeof evaluate>[1], Parameters<typeof evaluate>[2]?]
) => evaluate(op, inputs, attributes).map(({ data }) => Array.from(data));

describe('what PyTorch has no word on', () => {
  it('refuses an op that it does not know, and a wrong number of elements', () => {
    expect(() => evaluate('toString', [])).toThrow("no rule for 'toString'");
    expect(() => ref([2, 3], [1, 2])).toThrow('does not hold 2 elements');
  });

  it('takes every number but 0 as true', () => {
    expect(numbers('not', [vector(0, 1, -2)])).toEqual([[1, 0, 0]]);
    expect(numbers('and', [vector(0, 0, 1, 2), vector(0, 1, 0, 3)])).toEqual([[0, 0, 0, 1]]);
    expect(numbers('or', [vector(0, 0, 1, 2), vector(0, 1, 0, 3)])).toEqual([[0, 1, 1, 1]]);
  });

  it('casts towards zero and to the nearest value of the type', () => {
    expect(numbers('cast', [vector(-1.7, 1.7, 3e9)], { dtype: 'i32' })).toEqual([[-1, 1, 2147483647]]);
    expect(numbers('cast', [vector(-1.7, 1.7, 5e9)], { dtype: 'u32' })).toEqual([[0, 1, 4294967295]]);
    expect(numbers('cast', [vector(0, 0.1, -3)], { dtype: 'bool' })).toEqual([[0, 1, 1]]);
  });

  it('takes the first of equal elements', () => {
    const tied = vector(1, 3, 3, 1);
    expect(numbers('reduce', [tied], { kind: 'argMax', axes: [0] })).toEqual([[1]]);
    expect(numbers('reduce', [tied], { kind: 'argMin', axes: [0] })).toEqual([[0]]);
    expect(numbers('topK', [tied], { k: 3, largest: true })).toEqual([
      [3, 3, 1],
      [1, 2, 0],
    ]);
    expect(numbers('topK', [tied], { k: 2, largest: false })).toEqual([
      [1, 1],
      [0, 3],
    ]);
  });

  it('sums squares', () => {
    expect(numbers('reduce', [vector(1, 2, 3)], { kind: 'sumSquares', axes: [0] })).toEqual([[14]]);
  });

  it('reads zeros and writes nothing at an index that is out of range', () => {
    const x = vector(1, 2);
    expect(numbers('gather', [x, vector(1, 2, -1)], { axis: 0 })).toEqual([[2, 0, 0]]);
    expect(numbers('scatterAdd', [x, vector(1, 2, -1), vector(5, 5, 5)], { axis: 0 })).toEqual([[1, 7]]);
    expect(numbers('embedding', [ref([2, 1], [1, 2]), vector(1, 2)])).toEqual([[2, 0]]);
    expect(numbers('crossEntropy', [ref([1, 2], [0, 0]), vector(2)])).toEqual([[0], [0, Math.log(2)], [0]]);
  });

  it('gives the statistics of a norm', () => {
    const row = ref([1, 4], [1, 2, 3, 4]);
    expect(numbers('layerNorm', [row], { eps: 0 })[1]).toEqual([2.5, 1 / Math.sqrt(1.25)]);
    expect(numbers('rmsNorm', [row], { eps: 0 })[1]).toEqual([0, 1 / Math.sqrt(7.5)]);
  });

  it('gives 0 and an lse of 1e30 for a query that sees no key', () => {
    const one = ref([1, 1, 2], [1, 1]);
    const [O, lse] = rules.attention([one, one, one, ref([1, 1], [-1e9])], {});
    expect([...O.data, ...lse.data]).toEqual([0, 0, 1e30]);
  });

  it('walks an LSTM backwards in time', () => {
    const gatesX = ref(
      [3, 1, 4],
      Array.from({ length: 12 }, (_, i) => Math.sin(i)),
    );
    const backwards = rules.permute([rules.flip([gatesX], { axes: [0] })[0]], { order: [0, 1, 2] })[0];
    const state = [ref([1, 1], [0.3]), ref([4, 1], [0.5, -0.4, 0.3, 0.2]), ref([1, 1], [-0.2])] as const;
    const [output] = rules.lstm([gatesX, ...state], { reverse: true });
    const [flipped] = rules.lstm([backwards, ...state], { reverse: false });
    expect(Array.from(output.data)).toEqual(Array.from(flipped.data).reverse());
  });

  it('propagates back through an LSTM that walks backwards in time', () => {
    const random = (...shape: number[]) =>
      ref(
        shape,
        Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(7 * i * i + shape.length)),
      );
    const [T, B, H] = [3, 2, 2];
    const inputs = [random(T, B, 4 * H), random(B, H), random(4 * H, H), random(B, H)] as const;
    const dOutput = random(T, B, H);
    const objective = ([gatesX, h0, W, c0]: readonly Ref[]) =>
      inner(rules.lstm([gatesX as Ref, h0 as Ref, W as Ref, c0 as Ref], { reverse: true })[0], dOutput);
    const [, cells, gates] = rules.lstm(inputs, { reverse: true });
    const found = rules.lstmBackward([dOutput, inputs[2], gates, cells, inputs[3]], { reverse: true });
    const expected = [0, 1, 3].flatMap((which) => [...finiteGradient(objective, inputs, which).data]);
    const got = found.flatMap(({ data }) => [...data]);
    for (const [i, value] of expected.entries()) expect(got[i]).toBeCloseTo(value, 9);
  });

  it('knows erf to 14 digits (Abramowitz & Stegun, table 7.1)', () => {
    for (const [x, value] of [
      [0.1, 0.1124629160182849],
      [0.5, 0.5204998778130465],
      [1, 0.8427007929497149],
      [2, 0.9953222650189527],
      [3.5, 0.9999992569016276],
      [7, 1],
    ] as const) {
      expect(erf(x)).toBeCloseTo(value, 14);
      expect(erf(-x)).toBeCloseTo(-value, 14);
    }
  });
});

describe('finite differences', () => {
  const cubes = ([x]: readonly Ref[]) => sum((x ?? ref([])).data.map((value) => value ** 3));

  it('finds the gradient of a sum of cubes', () => {
    const gradient = finiteGradient(cubes, [vector(1, -2, 0.5)], 0);
    for (const [i, expected] of [3, 12, 0.75].entries()) expect(gradient.data[i]).toBeCloseTo(expected, 10);
  });

  it('finds the slope in a direction', () => {
    expect(directional(cubes, [vector(1, -2)], [vector(2, 1)])).toBeCloseTo(18, 10);
  });
});
