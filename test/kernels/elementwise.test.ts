import { describe, expect, it } from 'vitest';
import { type DType, dtypes, type HostArray } from '../../src/core/dtype.ts';
import { denseLayout, type Layout } from '../../src/core/layout.ts';
import { type Shape, sizeOf } from '../../src/core/shape.ts';
import type { ElementwiseLowering } from '../../src/graph/op.ts';
import { type Chain, type ChainStep, elementwiseKernel, type Load } from '../../src/kernels/elementwise.ts';
import type { Dispatch } from '../../src/kernels/kernel.ts';
import { specialise } from '../../src/kernels/specialise.ts';
import { elementwiseOps } from '../../src/ops/elementwise.ts';
import { indices } from '../reference/ref.ts';
import { type Run, runCall, runProfile, sameBits } from '../support/kernels.ts';
import { drawFor } from './draw.ts';

/** Index expressions of generated kernels against the same walk in JavaScript: no value is computed, only moved. */

const copy = elementwiseOps.copy.lowering as ElementwiseLowering;
const add = elementwiseOps.add.lowering as ElementwiseLowering;
/** The element inside of a window, 0 outside. */
const window: ElementwiseLowering = {
  kind: 'elementwise',
  expression: ([x], _, { inside }) => `select(0.0, ${x}, ${inside[0]})`,
};
/** The row-major index itself. */
const position: ElementwiseLowering = {
  kind: 'elementwise',
  indexed: true,
  expression: (_, __, { index }) => `f32(${index})`,
};
/** Element 2 of a table that is not broadcast. */
const third: ElementwiseLowering = {
  kind: 'elementwise',
  tables: [1],
  expression: ([x], _, { element }) => `${x} + ${element(1, 2)}`,
};

const step = (
  lowering: ElementwiseLowering,
  shape: Shape,
  args: ChainStep['arguments'],
  dtype: DType = 'f32',
): ChainStep => ({
  ...{ lowering, shape, dtype, attributes: {}, arguments: args },
  argumentTypes: args.map(() => dtype),
});

/** Elements of an operand in the order of the output's indices. */
function walk(data: HostArray, { shape, strides, offset }: Layout): number[] {
  return Array.from(
    indices(shape),
    (index) => data[offset + index.reduce((at, i, d) => at + i * (strides[d] as number), 0)] as number,
  );
}

/** Length of a buffer that holds all that a layout touches, in whole vectors. */
function extentOf({ shape, strides, offset }: Layout): number {
  const last = shape.reduce((at, extent, d) => at + Math.max(0, (extent - 1) * (strides[d] as number)), offset);
  return Math.ceil((last + 1) / 4) * 4;
}

const isVector = (dispatch: Dispatch | undefined) => dispatch?.constants?.V === 'vec4<f32>';

/** Runs a chain in both orders, with extents as constants and as uniforms. */
async function run(chain: Chain, inputs: readonly HostArray[]): Promise<Run> {
  const outputs = chain.outputs.map((i) => ({ dtype: (chain.steps[i] as ChainStep).dtype, length: chain.size }));
  const call = elementwiseKernel(chain, 'test', runProfile);
  const probes = [{}, { reversed: true }, { general: true }, { general: true, reversed: true }];
  const [result, ...others] = (await runCall(call, inputs, outputs, probes)) as [Run, ...Run[]];
  expect(others.map((other) => sameBits(result, other))).toEqual([true, true, true]);
  return result;
}

const copies = (layout: Layout, dtype: DType = 'f32'): Chain => ({
  size: sizeOf(layout.shape),
  buffers: [dtype],
  steps: [step(copy, layout.shape, [{ load: { buffer: 0, layout } }], dtype)],
  outputs: [0],
});

const layouts: readonly (readonly [name: string, layout: Layout, vector: boolean])[] = [
  ['dense', denseLayout([3, 5, 4]), true],
  ['dense, an odd number', denseLayout([3, 5, 3]), false],
  ['dense, from an offset', { ...denseLayout([8, 4]), offset: 12 }, true],
  ['dense, from an odd offset', { ...denseLayout([8, 4]), offset: 3 }, false],
  ['one element for all', { shape: [4, 6], strides: [0, 0], offset: 0 }, true],
  ['one element for all, far in', { shape: [4, 8], strides: [0, 0], offset: 8 }, true],
  ['a row for all rows', { shape: [5, 8], strides: [0, 1], offset: 0 }, true],
  ['a column for all columns', { shape: [5, 8], strides: [1, 0], offset: 0 }, true],
  ['a column for all columns, in steps', { shape: [5, 8], strides: [3, 0], offset: 4 }, true],
  ['broadcast in the middle', { shape: [3, 4, 8], strides: [8, 0, 1], offset: 0 }, true],
  ['broadcast outside and inside', { shape: [3, 5, 4], strides: [0, 1, 0], offset: 0 }, true],
  ['transposed', { shape: [8, 12], strides: [1, 8], offset: 0 }, false],
  ['permuted with rows kept', { shape: [3, 5, 8], strides: [8, 24, 1], offset: 0 }, true],
  ['rows of a wider matrix', { shape: [5, 8], strides: [12, 1], offset: 4 }, true],
  ['rows of a matrix of odd width', { shape: [4, 8], strides: [13, 1], offset: 0 }, false],
  ['every second element', { shape: [4, 6], strides: [12, 2], offset: 1 }, false],
  ['flipped', { shape: [4, 8], strides: [8, -1], offset: 7 }, false],
  ['flipped rows', { shape: [4, 8], strides: [-8, 1], offset: 24 }, false],
  ['flipped both ways', { shape: [3, 7], strides: [-7, -1], offset: 20 }, false],
  ['extents of 1 with odd strides', { shape: [1, 6, 1, 4], strides: [7, 4, 3, 1], offset: 0 }, true],
  ['a single element', { shape: [], strides: [], offset: 0 }, false],
  ['five dimensions', { shape: [2, 3, 2, 3, 4], strides: [4, 8, 72, 24, 1], offset: 0 }, true],
  ['more than one workgroup', denseLayout([65, 257]), false],
  ['more than one workgroup, in vectors', { shape: [66, 256], strides: [1, 68], offset: 0 }, false],
  ['more than one workgroup, dense vectors', denseLayout([66, 256]), true],
  ['whole workgroups of dense vectors', denseLayout([64, 256]), true],
  ['whole workgroups of a row for all rows', { shape: [64, 256], strides: [0, 1], offset: 4 }, true],
  ['whole workgroups of a row for too few rows', { shape: [2, 8192], strides: [0, 1], offset: 0 }, true],
];

describe('an operand', () => {
  for (const [name, layout, vector] of layouts) {
    it(`${name} is read ${vector ? 'four elements' : 'an element'} at a time`, async () => {
      const data = drawFor(name).f32(extentOf(layout));
      const chain = copies(layout);
      expect(isVector(elementwiseKernel(chain, 'test', runProfile).dispatches[0])).toBe(vector);
      expect(Array.from((await run(chain, [data])).outputs[0] as HostArray)).toEqual(walk(data, layout));
    });
  }

  it.each(['i32', 'u32', 'bool'] as const)('of %s is read and written as it is', async (dtype) => {
    for (const size of [8, 9]) {
      const data = Uint32Array.from({ length: 12 }, (_, i) => (dtype === 'bool' ? i % 2 : 4294967295 - i));
      const layout = { shape: [size], strides: [1], offset: size === 8 ? 4 : 0 };
      const own = dtype === 'i32' ? new Int32Array(data.buffer) : data;
      const { outputs } = await run(copies(layout, dtype), [own]);
      expect(outputs[0]).toBeInstanceOf(dtypes[dtype].array);
      expect(Array.from(outputs[0] as HostArray)).toEqual(walk(own, layout));
    }
  });
});

describe('a chain', () => {
  const shape = [6, 8];
  const load = (buffer: number, layout: Layout, more: Partial<Load> = {}) => ({ load: { buffer, layout, ...more } });

  it('of operands that lie in different ways takes elements one by one, if one of them must', async () => {
    const [transposed, dense] = [{ shape, strides: [1, 6], offset: 0 }, denseLayout(shape)];
    for (const other of [dense, transposed]) {
      const row = { shape, strides: [0, 1], offset: 4 };
      const chain: Chain = {
        size: 48,
        buffers: ['f32', 'f32'],
        steps: [step(add, shape, [load(0, other), load(1, row)]), step(add, shape, [{ step: 0 }, load(0, dense)])],
        outputs: [1, 0],
      };
      expect(isVector(elementwiseKernel(chain, 'test', runProfile).dispatches[0])).toBe(other === dense);
      // Whole numbers, so that sums are exact.
      const [x, y] = [drawFor('x').i32(48, -99, 99), drawFor('y').i32(12, -99, 99)];
      const { outputs } = await run(chain, [Float32Array.from(x), Float32Array.from(y)]);
      const first = walk(x, other).map((value, i) => value + (walk(y, row)[i] as number));
      expect(Array.from(outputs[1] as HostArray)).toEqual(first);
      expect(Array.from(outputs[0] as HostArray)).toEqual(first.map((value, i) => value + (x[i] as number)));
    }
  });

  it('reads operands that hold one row for many, of equal lengths and not', async () => {
    const [big, size] = [[8, 16, 128], 2 ** 14];
    const layouts = [
      denseLayout(big),
      { shape: big, strides: [0, 0, 1], offset: 4 },
      { shape: big, strides: [0, 128, 1], offset: 0 },
      { shape: big, strides: [0, 0, 1], offset: 0 },
    ];
    for (const repeats of [1, 6]) {
      // Whole numbers, so that sums are exact. Six times over, the chain is too long to be spelled out.
      const inputs = layouts.map((layout, i) => Float32Array.from(drawFor(`rows ${i}`).i32(extentOf(layout), -99, 99)));
      const operands = Array.from({ length: repeats }, () => layouts.map((_, i) => i)).flat();
      const steps = operands.map((i, s) =>
        step(add, big, [s === 0 ? { constant: 1 } : { step: s - 1 }, load(i, layouts[i] as Layout)]),
      );
      const chain: Chain = { size, buffers: layouts.map(() => 'f32'), steps, outputs: [steps.length - 1] };
      const { outputs } = await run(chain, inputs);
      const walks = layouts.map((layout, i) => walk(inputs[i] as HostArray, layout));
      const sums = Array.from({ length: size }, (_, i) =>
        walks.reduce((sum, values) => sum + (values[i] as number), 0),
      );
      expect(Array.from(outputs[0] as HostArray)).toEqual(sums.map((sum) => 1 + repeats * sum));
    }
  });

  it('reads a windowed operand only inside of its window', async () => {
    for (const [axis, low, high, outer] of [
      [1, 2, 5, 8],
      [0, 1, 4, 8],
      [1, 0, 8, 8],
    ] as const) {
      // Element (low) of the axis is the operand's first: the layout starts before the buffer.
      const strides = axis === 1 ? [high - low, 1] : [outer, 1];
      const layout = { shape, strides, offset: -low * (strides[axis] as number) };
      const chain: Chain = {
        size: 48,
        buffers: ['f32'],
        steps: [step(window, shape, [load(0, layout, { window: { layout, axis, low, high } })])],
        outputs: [0],
      };
      const data = drawFor('window').f32(axis === 1 ? 6 * (high - low) : (high - low) * outer);
      const { outputs } = await run(chain, [data]);
      const expected = Array.from(indices(shape), ([row, column]) => {
        const at = (axis === 1 ? column : row) as number;
        if (at < low || at >= high) return 0;
        return data[layout.offset + (row as number) * (strides[0] as number) + (column as number)] as number;
      });
      expect(Array.from(outputs[0] as HostArray)).toEqual(expected);
    }
  });

  it('knows the index of an element, and elements of tables', async () => {
    const chain: Chain = {
      size: 48,
      buffers: ['f32', 'f32'],
      steps: [step(position, shape, []), step(third, shape, [{ step: 0 }, { table: 1 }])],
      outputs: [1],
    };
    const { outputs } = await run(chain, [new Float32Array(4), Float32Array.of(1, 2, 300)]);
    expect(Array.from(outputs[0] as HostArray)).toEqual(Array.from({ length: 48 }, (_, i) => i + 300));
  });

  it('has the offset of a slice and the outermost extent in its uniforms, not in its text', () => {
    const shader = (layout: Layout) =>
      specialise(elementwiseKernel(copies(layout), 'test', runProfile).dispatches[0] as Dispatch);
    const slice = (rows: number, offset: number) => ({ shape: [rows, 5], strides: [7, 1], offset });
    const [one, other] = [shader(slice(3, 7)), shader(slice(9, 21))];
    expect(one.code).toBe(other.code);
    expect([one, other].map(({ fields }) => fields.find(({ type }) => type === 'i32')?.value)).toEqual([7, 21]);
  });
});
