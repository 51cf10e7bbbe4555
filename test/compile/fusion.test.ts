import { beforeEach, describe, expect, test } from 'vitest';
import { buildProgram } from '../../src/compile/program.ts';
import {
  concat,
  grad,
  layerNorm,
  lstm,
  matmul,
  mseLoss,
  nn,
  ones,
  type Parameter,
  randn,
  scaledDotProductAttention,
  split,
  sum,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { defaultProfile } from '../../src/kernels/kernel.ts';
import { full } from '../../src/ops/elementwise.ts';
import { draw } from '../support/draw.ts';
import { profile } from '../support/environment.ts';
import { announceReads, useGpu } from '../support/gpu.ts';

/** What shares a kernel with what. Plans are pure, so most of this needs no device. */
function kernels(...results: Tensor[]): string[] {
  const program = buildProgram({ results, updates: [] }, (x) => x.isComputed, {
    ...defaultProfile,
    selection: profile,
  });
  return program.commands.map((command) =>
    command.kind === 'copy'
      ? `copy ${command.label}`
      : [command.dispatch.kernel.split('/')[0], ...command.fused].join(' '),
  );
}
const value = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), { shape });

useGpu();
beforeEach(() => announceReads(Infinity));

describe('elementwise chains', () => {
  test('become one kernel', () => {
    expect(kernels(value(4, 8).add(1).mul(2).exp().sub(value(8)))).toEqual(['elementwise add mul exp sub']);
  });

  test('of two branches meet in one kernel', () => {
    const x = value(16);
    expect(kernels(x.exp().add(x.log()))).toEqual(['elementwise exp log add']);
  });

  test('write every value that somebody reads', async () => {
    const a = value(8).add(1);
    const b = a.mul(2);
    expect(kernels(a, b)).toEqual(['elementwise add mul']);
    expect([(await a.data())[0], (await b.data())[0]]).toEqual([1.5, 3]);
  });

  test('stop at eight bindings', () => {
    const many = Array.from({ length: 12 }, () => value(8));
    const plans = buildProgram(
      { results: [many.reduce((a, b) => a.add(b))], updates: [] },
      (x) => x.isComputed,
      defaultProfile,
    );
    for (const command of plans.commands)
      if (command.kind === 'dispatch') expect(command.bindings.length).toBeLessThanOrEqual(8);
    expect(plans.commands.length).toBe(2);
  });

  test('stop at 128 steps, so that a kernel compiles in no time', async () => {
    let x = value(8);
    for (let i = 0; i < 300; i++) x = x.add(1);
    expect(kernels(x).map((kernel) => kernel.split(' ').length - 1)).toEqual([128, 128, 44]);
    expect((await x.data())[0]).toBe(300.5);
  });

  test('of two long branches stay apart', () => {
    const x = value(8);
    const branch = () => Array.from({ length: 100 }).reduce<Tensor>((y) => y.mul(2), x);
    expect(kernels(branch().sub(branch()))).toHaveLength(2);
  });

  test('repeated values of weft cost nothing; those of users, whose gradients may be asked for, no memory', () => {
    const [one, three] = [full([4], 1), full([4], 3)];
    expect(kernels(value(4).mul(one).add(one.mul(three)))).toEqual(['elementwise add']);
    expect(
      kernels(
        value(4)
          .mul(ones([4]))
          .add(ones([4]).mul(3)),
      ),
    ).toEqual(['elementwise mul mul add']);
  });
});

describe('into hand-written kernels', () => {
  test('bias, activation, its saved input and residual follow a product', () => {
    const x = value(8, 16);
    const pre = matmul(x, value(16, 16)).add(value(16));
    expect(kernels(pre.gelu().add(x), pre)).toEqual(['matmul add geluErf add']);
  });

  test('a producer is computed while a reduction loads it', () => {
    expect(kernels(mseLoss(value(4, 3), value(4, 3)))).toEqual(['reduce sub square']);
  });

  test('the gradient of a bias rides along with the gradient of the weight', async () => {
    const layer = new nn.Linear(6, 3);
    const [weight, bias] = [layer.weight, layer.bias as Parameter];
    const loss = sum(layer.forward(draw([2, 5, 6])).square());
    const gradients = grad(loss, [weight, bias]);
    expect(kernels(...gradients)).toEqual(['matmul add mul', 'matmul reduce']);
    const composed = grad(loss, [weight]);
    expect(kernels(gradients[1] as Tensor)).toEqual(['matmul add mul', 'reduce']);
    expect(await (gradients[0] as Tensor).data()).toEqual(await (composed[0] as Tensor).data());
  });

  test('a sum over rows that has a tail, or a reader before the product, stays by itself', () => {
    const [x, y] = [value(5, 4), value(5, 3)];
    const weight = matmul(x.transpose(), y);
    expect(kernels(weight, sum(y, 0))).toEqual(['matmul reduce']);
    expect(kernels(weight, sum(y, 0).add(1))).toEqual(['matmul', 'reduce add']);
    expect(kernels(weight, sum(y, 1))).toEqual(['matmul', 'reduce']);
    const early = sum(y, 0);
    expect(kernels(matmul(x.transpose().mul(sum(early)), y), early)).toContain('reduce');
    expect(kernels(matmul(y.transpose(), x).add(early.reshape([3, 1])))).toEqual(['reduce', 'matmul add']);
  });

  test('an integer result is no head of a chain of numbers', () => {
    expect(kernels(value(3, 4).argMax(1).cast('f32').mul(2))).toEqual(['reduce', 'elementwise cast mul']);
  });

  test('a head split out of a packed projection is not copied, nor merged heads', () => {
    const qkv = value(2, 5, 24);
    const heads = split(qkv.reshape([2, 5, 3, 2, 4]).permute([2, 0, 3, 1, 4]), 1).map((part) => part.squeeze([0])) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const merged = scaledDotProductAttention(...heads)
      .permute([0, 2, 1, 3])
      .reshape([2, 5, 8]);
    expect(kernels(merged)).toEqual(['attentionForward']);
    const [gradient] = grad(sum(merged), [qkv]);
    expect(kernels(gradient as Tensor)).toEqual(['attentionForward', 'attentionBackward', 'attentionBackward']);
  });

  test('attention writes dense heads where they are wanted so, and gradients', () => {
    const [q, k, v] = [value(2, 3, 5, 4), value(2, 3, 7, 4), value(2, 3, 7, 4)];
    const O = scaledDotProductAttention(q, k, v);
    expect(kernels(O)).toEqual(['attentionForward']);
    const gradients = grad(O, [q, k, v], { seed: value(2, 3, 5, 4) });
    expect(kernels(...gradients)).toEqual(['attentionForward', 'attentionBackward', 'attentionBackward']);
  });

  test('heads of another sequence, split out of one projection, and their gradients are not copied', () => {
    const [x, y] = [value(2, 5, 8), value(2, 7, 16)];
    const heads = (part: Tensor) => part.reshape([2, part.shape[1] as number, 2, 4]).permute([0, 2, 1, 3]);
    const [k, v] = split(y, 8, 2) as [Tensor, Tensor];
    const O = scaledDotProductAttention(heads(x), heads(k), heads(v)).permute([0, 2, 1, 3]).reshape([2, 5, 8]);
    const gradients = grad(O, [x, y], { seed: value(2, 5, 8) });
    expect(kernels(...gradients)).toEqual(['attentionForward', 'attentionBackward', 'attentionBackward']);
  });

  test('a mask or dropout leaves the gradients no room for δ', () => {
    const [q, k, v] = [value(1, 2, 5, 4), value(1, 2, 5, 4), value(1, 2, 5, 4)];
    const O = scaledDotProductAttention(q, k, v, { mask: value(5, 5) });
    expect(kernels(...grad(O, [q, k, v], { seed: value(1, 2, 5, 4) }))).toHaveLength(4);
  });
});

describe('small sums', () => {
  const small = () => sum(value(12, 8), 0);
  const multiply = () => matmul(value(4, 6), value(6, 5));

  test('ride in front of a kernel that comes before their reader', async () => {
    const [early, product] = [small(), multiply()];
    expect(kernels(early, product)).toEqual([expect.stringMatching(/^matmul reduce\//)]);
    expect(kernels(small().exp(), multiply())).toEqual(['reduce exp', 'matmul']);
    const [a, b] = await Promise.all([early.data(), product.data()]);
    expect([a[7], b[19]]).toEqual([6, 1.5]);
  });

  test('stay by themselves where it comes too late, or has no room', () => {
    const total = small();
    expect(kernels(matmul(value(3, 8), total.reshape([8, 1])), multiply())).toEqual(['reduce', 'matmul', 'matmul']);
    const many = Array.from({ length: 4 }, () => value(4, 5));
    const full = many.reduce((y, each) => y.add(each), multiply());
    expect(kernels(total, full)).toEqual(['reduce', 'matmul add add add add']);
    expect(kernels(sum(value(300, 8), 0), multiply())).toEqual(['reduce', 'matmul']);
  });

  test('of norm gradients cost no dispatch where a product follows', () => {
    const [y, weight, bias] = [value(6, 8), value(8), value(8)];
    const loss = sum(layerNorm(matmul(y, value(8, 8)), weight, bias).square());
    const gradients = grad(loss, [y, weight, bias]);
    const names = kernels(...gradients).map((name) => name.split(' ')[0]);
    expect(names).toEqual(['matmul', 'norm', 'normBackward', 'matmul']);
  });
});

describe('views', () => {
  test('cost nothing where the reader takes strides', () => {
    expect(kernels(matmul(value(6, 4).transpose(), value(6, 3)))).toEqual(['matmul']);
    expect(kernels(value(6, 4).transpose().add(value(4, 6)))).toEqual(['elementwise add']);
  });

  test('are copied once where it does not', () => {
    const turned = value(6, 4).transpose();
    expect(kernels(turned.softmax(), turned.logSoftmax())).toEqual(['elementwise copy', 'softmax', 'softmax']);
  });

  test('parts that lie side by side are joined for free', () => {
    const [a, b] = split(value(4, 6).add(1), [2, 4], 1) as [Tensor, Tensor];
    expect(kernels(concat([a, b], 1).exp())).toEqual(['elementwise add exp']);
  });

  test('the gradient of a transposed weight comes out in the weight’s own order', () => {
    const [x, w] = [randn([5, 3]), randn([4, 3])];
    expect(
      kernels(grad(sum(matmul(x, w.transpose()).square()), [w])[0] as Tensor).every((name) => !name.includes('copy')),
    ).toBe(true);
  });
});

test('an LSTM whose last output has a gradient is one kernel each way at the gpu profile', () => {
  const gates = value(6, 2, 32);
  const { h } = lstm(gates, value(2, 8), value(2, 8), value(32, 8));
  const results = grad(h, [gates], { seed: value(2, 8) });
  const { commands } = buildProgram({ results, updates: [] }, (x) => x.isComputed, defaultProfile);
  expect(commands.map(({ label }) => label)).toEqual([
    'recurrentForward/sequence [6, 2, 8]',
    'recurrentBackward/sequence [6, 2, 32]',
  ]);
});
