import { describe, it } from 'vitest';
import { tensor } from '../../src/index.ts';
import { adamHyper, sgdHyper } from '../../src/kernels/optimizer.ts';
import { adamwUpdate, clipNorm, sgdUpdate } from '../../src/ops/optimizer.ts';
import { check } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';

useGpu();

const hyper = (...groups: number[][]) => tensor(Float32Array.from(groups.flat()));
const adam = (lr: number, weightDecay: number, decoupled: boolean) =>
  adamHyper({ lr, betas: [0.9, 0.95], eps: 1e-8, weightDecay, decoupled, step: 3 });

// Whole optimizers are tested against PyTorch with src/optim.
describe('updates of packed parameters', () => {
  it.for([1, 63, 257, 1030])('AdamW and Adam of %i elements, in groups and clipped', async (N) => {
    const [parameters, gradients, mean, square] = [draw([N]), draw([N]), draw([N], -0.1, 0.1), draw([N], 0, 0.1)];
    const plain = adamwUpdate({
      parameters,
      gradients,
      mean,
      square,
      hyper: hyper(adam(0.01, 0.1, true)),
      scale: null,
      ends: [N],
    });
    const ends = N < 3 ? [N] : [Math.floor(N / 3), N];
    const groups = hyper(adam(0.01, 0.1, true), adam(0.05, 0.2, false));
    const clipped = adamwUpdate({ parameters, gradients, mean, square, hyper: groups, scale: tensor([0.3]), ends });
    await check(...Object.values(plain), ...Object.values(clipped));
  });

  it.for([1, 66, 257])('SGD of %i elements: plain, with momentum, Nesterov, its first step', async (N) => {
    const [parameters, gradients, buffer] = [draw([N]), draw([N]), draw([N])];
    const of = (settings: { momentum: number; nesterov: boolean; first: boolean }) =>
      hyper(sgdHyper({ lr: 0.1, weightDecay: 0.01, ...settings }));
    const plain = sgdUpdate({
      parameters,
      gradients,
      hyper: of({ momentum: 0, nesterov: false, first: true }),
      buffer: null,
      scale: null,
      ends: [N],
    });
    const updates = [
      sgdUpdate({
        parameters,
        gradients,
        hyper: of({ momentum: 0.9, nesterov: false, first: false }),
        buffer,
        scale: null,
        ends: [N],
      }),
      sgdUpdate({
        parameters,
        gradients,
        hyper: of({ momentum: 0.9, nesterov: true, first: false }),
        buffer,
        scale: tensor([0.5]),
        ends: [N],
      }),
      sgdUpdate({
        parameters,
        gradients,
        hyper: of({ momentum: 0.9, nesterov: true, first: true }),
        buffer,
        scale: null,
        ends: [N],
      }),
    ];
    await check(
      plain.parameters,
      ...updates.flatMap(({ parameters: next, buffer: velocity }) => (velocity ? [next, velocity] : [next])),
    );
  });

  it.for([1, 65, 257, 5000])('the norm of %i gradients and the factor that clips it', async (N) => {
    const gradients = draw([N]);
    const [tight, loose] = [clipNorm(gradients, 0.5), clipNorm(gradients, 1e6)];
    await check(tight.norm, tight.scale, loose.norm, loose.scale);
  });
});
