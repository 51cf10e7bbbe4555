import { type CrossEntropyProblem, crossEntropy, crossEntropyBackward } from '../../src/kernels/crossEntropy.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, exact, near } from './conformance.ts';
import type { Draw } from './draw.ts';

type Size = readonly [rows: number, V: number, targetDType: 'i32' | 'u32', labelSmoothing: number];

const sizes: readonly Size[] = [
  [1, 1, 'i32', 0],
  [33, 3, 'i32', 0.1],
  [65, 8, 'u32', 0],
  [31, 65, 'i32', 0.2],
  [129, 64, 'i32', 0],
  [5, 257, 'u32', 0.1],
  [3, 1024, 'i32', 0.1],
  [2, 2051, 'i32', 0],
  [1, 16600, 'i32', 0.1],
  [1, 16501, 'i32', 0],
];

const ignoreIndex = 2;

const problemOf = ([rows, V, targetDType, labelSmoothing]: Size): CrossEntropyProblem => ({
  ...{ rows, V, targetDType, labelSmoothing, ignoreIndex },
});
const nameOf = ([rows, V, targetDType, labelSmoothing]: Size) =>
  `[${rows}, ${V}], ${targetDType} targets${labelSmoothing ? ` and smoothing ${labelSmoothing}` : ''}`;

/** Rows to ignore among the targets, and two outside of the classes. Logits are large in the shape [5, 257]. */
function draw1(draw: Draw, [rows, V, targetDType]: Size, valid: boolean) {
  const targets = targetDType === 'i32' ? draw.i32(rows, 0, V) : draw.u32(rows, 0, V);
  if (rows > 4) targets[1] = ignoreIndex;
  if (rows > 4 && !valid) {
    targets[2] = V;
    targets[3] = -7;
  }
  return {
    logits: draw.f32(rows * V, 30, V === 257 ? 1e4 : 0),
    targets,
    ids: ref([rows], targetDType === 'i32' ? targets : new Int32Array(targets.buffer)),
  };
}

const cases = (
  name: string,
  prepare: (size: Size, draw: Draw, valid: boolean) => ReturnType<Case<unknown>['prepare']>,
) =>
  sizes.map(
    (size, i): Case<CrossEntropyProblem> => ({
      name: `${nameOf(size)}${name}`,
      problem: problemOf(size),
      prepare: (draw) => prepare(size, draw, i % 2 === 0),
    }),
  );

conformance(
  crossEntropy,
  cases('', (size, draw, valid) => {
    const [rows, V, , labelSmoothing] = size;
    const { logits, targets, ids } = draw1(draw, size, valid);
    const [loss, statistics, weight] = evaluate('crossEntropy', [ref([rows, V], logits), ids], {
      ignoreIndex,
      labelSmoothing,
    }) as [Ref, Ref, Ref];
    return {
      inputs: [logits, targets],
      expected: [near(loss, 2e-6, 1e-5), near(statistics, 1e-6, 1e-5), exact('f32', weight.data)],
      status: Number(!valid && rows > 4),
    };
  }),
);

conformance(
  crossEntropyBackward,
  cases('', (size, draw, valid) => {
    const [rows, V, , labelSmoothing] = size;
    const { logits, targets, ids } = draw1(draw, size, valid);
    const attributes = { ignoreIndex, labelSmoothing };
    const saved = evaluate('crossEntropy', [ref([rows, V], logits), ids], attributes) as [Ref, Ref, Ref];
    const [statistics, dloss] = [Float32Array.from(saved[1].data), draw.f32(rows)];
    const [dlogits] = evaluate(
      'crossEntropyBackward',
      [ref([rows, V], logits), ids, ref([rows, 2], statistics), ref([rows], dloss)],
      attributes,
    ) as [Ref];
    return { inputs: [logits, targets, statistics, dloss], expected: [near(dlogits, 1e-5, 1e-7)] };
  }),
);
