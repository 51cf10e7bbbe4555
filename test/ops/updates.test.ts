import { describe, it } from 'vitest';
import { type Tensor, tensor } from '../../src/index.ts';
import {
  adamHyper,
  adamwUpdate,
  clipNorm,
  clipScale,
  gateSteps,
  leftAlone,
  sgdHyper,
  sgdUpdate,
} from '../../src/ops/updates.ts';
import { check } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';

useGpu();

const hyper = (...groups: number[][]) => tensor(Float32Array.from(groups.flat()));
const adam = (lr: number, weightDecay: number, decoupled: boolean, end?: number) =>
  adamHyper({ lr, betas: [0.9, 0.95], eps: 1e-8, weightDecay, decoupled }, end);
/** Two parameters that have made as many steps. */
const counts = (steps: number) => tensor(Int32Array.of(steps, steps));
/** A clipping that halves the gradients. */
const half = () => tensor([0.5]);

/** The turn of a member for each block of N elements; every third is left alone, the others take two groups in turn. */
function turnOfEach(N: number) {
  const members = Math.ceil(N / 64);
  const groups = Uint32Array.from({ length: members }, (_, i) => (i % 3 === 1 ? leftAlone : i % 2));
  const steps = tensor(Int32Array.from({ length: members }, (_, i) => i));
  const { counts: next, gate } = gateSteps(steps, tensor(groups), half());
  return { next, turn: { gate, table: tensor(Uint32Array.from({ length: members }, (_, i) => i)) } };
}

const present = (next: Readonly<Record<string, Tensor | null>>) =>
  Object.values(next).filter((value) => value !== null);

// Whole optimizers are tested against PyTorch with src/optim.
describe('updates of packed parameters', () => {
  it.for([1, 63, 257, 1030])('AdamW and Adam of %i elements: all together, clipped, each by itself', async (N) => {
    const given = {
      parameters: draw([N]),
      gradients: draw([N]),
      mean: draw([N], -0.1, 0.1),
      square: draw([N], 0, 0.1),
    };
    const { next, turn } = turnOfEach(N);
    const one = hyper(adam(0.01, 0.1, true));
    const two = hyper(adam(0.01, 0.1, true, 64), adam(0.05, 0.2, false, N));
    await check(
      ...present(adamwUpdate({ ...given, hyper: one, turn: { counts: counts(0), scale: null } })),
      ...present(adamwUpdate({ ...given, hyper: one, turn: { counts: counts(7), scale: half() } })),
      ...present(adamwUpdate({ ...given, hyper: two, turn: { counts: counts(7), scale: null } })),
      ...present(adamwUpdate({ ...given, hyper: two, turn })),
      next,
    );
  });

  it.for([1, 66, 257])('SGD of %i elements: plain, with momentum, Nesterov, each by itself', async (N) => {
    const given = { parameters: draw([N]), gradients: draw([N]) };
    const buffer = draw([N]);
    const of = (momentum: number, nesterov: boolean, end?: number) =>
      sgdHyper({ lr: 0.1, weightDecay: 0.01, momentum, nesterov }, end);
    const two = hyper(of(0.9, true, 64), of(0.5, false, N));
    const at = (steps: number, scale: Tensor | null = null) => ({ counts: counts(steps), scale });
    await check(
      ...present(sgdUpdate({ ...given, hyper: hyper(of(0, false)), buffer: null, turn: at(0) })),
      ...present(sgdUpdate({ ...given, hyper: hyper(of(0.9, false)), buffer, turn: at(1) })),
      ...present(sgdUpdate({ ...given, hyper: hyper(of(0.9, true)), buffer, turn: at(1, half()) })),
      ...present(sgdUpdate({ ...given, hyper: hyper(of(0.9, true)), buffer, turn: at(0) })),
      ...present(sgdUpdate({ ...given, hyper: two, buffer, turn: at(1) })),
      ...present(sgdUpdate({ ...given, hyper: two, buffer, turn: turnOfEach(N).turn })),
    );
  });

  it.for([1, 65, 257, 5000])('the norm of %i gradients and the factor that clips it', async (N) => {
    const gradients = draw([N]);
    const [tight, loose] = [0.5, 1e6].map((maxNorm) => clipNorm(gradients, { maxNorm, strict: false }));
    const sums = clipScale(gradients.square(), { maxNorm: 0.5, strict: true });
    await check(...[tight, loose, sums].flatMap((clipping) => present(clipping ?? {})));
  });
});
