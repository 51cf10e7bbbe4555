import { denseLayout } from '../../src/core/layout.ts';
import { type Shape, sizeOf } from '../../src/core/shape.ts';
import { type Chain, type ChainStep, loadHook, storeHook } from '../../src/kernels/elementwise.ts';
import type { LoadHook, StoreHook } from '../../src/kernels/kernel.ts';
import { elementwiseOps } from '../../src/ops/elementwise.ts';

/** Elementwise tails and heads as the compiler fuses them, for the families that take one. */

/** A step of a chain over f32 values; -1 is the kernel's own value, a number ≥ 0 an earlier step. */
function step(op: keyof typeof elementwiseOps, shape: Shape, args: ChainStep['arguments']): ChainStep {
  const { lowering } = elementwiseOps[op];
  if (lowering.kind !== 'elementwise') throw new Error(`no elementwise op ${op}`);
  return { lowering, attributes: {}, arguments: args, argumentTypes: args.map(() => 'f32'), dtype: 'f32', shape };
}

/** gelu(value + bias) with bias [columns] as a further input. */
export function biasGelu(shape: Shape, firstInput: number): StoreHook {
  const columns = shape.at(-1) as number;
  const bias = {
    buffer: 0,
    layout: { shape, strides: shape.map((_, i) => Number(i === shape.length - 1)), offset: 0 },
  };
  const chain: Chain = {
    size: sizeOf(shape),
    buffers: ['f32'],
    steps: [step('add', shape, [{ step: -1 }, { load: bias }]), step('geluTanh', shape, [{ step: 0 }])],
    outputs: [1],
  };
  if (columns < 1) throw new RangeError('no columns');
  return storeHook(chain, firstInput, 0, 0);
}

/** value + residual, a further input of the output's shape; the value itself is a further output. */
export function residual(shape: Shape, firstInput: number, firstExtraOutput: number): StoreHook {
  const chain: Chain = {
    size: sizeOf(shape),
    buffers: ['f32'],
    steps: [step('add', shape, [{ step: -1 }, { load: { buffer: 0, layout: denseLayout(shape) } }])],
    outputs: [0, -1],
  };
  return storeHook(chain, firstInput, 0, firstExtraOutput);
}

/** x · y of two inputs of the same shape, y read backwards. */
export function productOfInputs(size: number, firstInput: number): LoadHook {
  const shape = [size];
  const backwards = { shape, strides: [-1], offset: size - 1 };
  const chain: Chain = {
    size,
    buffers: ['f32', 'f32'],
    steps: [
      step('mul', shape, [
        { load: { buffer: 0, layout: denseLayout(shape) } },
        { load: { buffer: 1, layout: backwards } },
      ]),
    ],
    outputs: [0],
  };
  return loadHook(chain, firstInput);
}

/** x / 2 of one input, read backwards. */
export function halfBackwards(size: number, firstInput: number): LoadHook {
  const shape = [size];
  const backwards = { shape, strides: [-1], offset: size - 1 };
  const chain: Chain = {
    size,
    buffers: ['f32'],
    steps: [step('mul', shape, [{ load: { buffer: 0, layout: backwards } }, { constant: 0.5 }])],
    outputs: [0],
  };
  return loadHook(chain, firstInput);
}

export const geluTanh = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
