import { type NormProblem, norm, normBackward } from '../../src/kernels/norm.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, exact, magnitudes, near, summed } from './conformance.ts';
import { biasGelu, geluTanh } from './hooks.ts';

type Size = readonly [kind: 'layer' | 'rms', rows: number, E: number, affine: 0 | 1 | 2];

// Widths around lanes, pieces, vectors and workgroups; rows around the blocks of backward, and of several turns of one.
// affine: neither, weight, weight and bias.
const sizes: readonly Size[] = [
  ['layer', 1, 1, 2],
  ['rms', 5, 3, 1],
  ['layer', 65, 4, 1],
  ['layer', 33, 31, 2],
  ['rms', 129, 64, 1],
  ['layer', 257, 32, 2],
  ['layer', 3, 129, 0],
  ['rms', 17, 257, 0],
  ['layer', 70, 1024, 2],
  ['layer', 530, 257, 2],
  ['rms', 270, 515, 1],
  ['layer', 300, 1029, 2],
  ['rms', 2, 2052, 1],
  ['layer', 1, 11003, 1],
];

const problemOf = ([kind, rows, E, affine]: Size): NormProblem => ({
  ...{ kind, rows, E, eps: 1e-5, weight: affine > 0, bias: affine > 1 },
});
const nameOf = ([kind, rows, E, affine]: Size) =>
  `${kind} [${rows}, ${E}]${['', ' with weight', ' with weight and bias'][affine]}`;
const op = (kind: 'layer' | 'rms') => (kind === 'layer' ? 'layerNorm' : 'rmsNorm');

const forwardCase = (size: Size): Case<NormProblem> => ({
  name: nameOf(size),
  problem: problemOf(size),
  prepare(draw) {
    const [kind, rows, E, affine] = size;
    // Far from 0 for a layer norm, which must not lose digits by it.
    const x = draw.f32(rows * E, 2, kind === 'layer' ? 50 : 0.5);
    const gains = [draw.f32(E, 1, 1), draw.f32(E)].slice(0, affine);
    const [y, statistics] = evaluate(op(kind), [ref([rows, E], x), ...gains.map((v) => ref([E], v))], {
      eps: 1e-5,
    }) as [Ref, Ref];
    // Rows of one element have x − mean = 0 and 1/σ = 1/√eps.
    const [meanAndSlope, noise] = E === 1 ? [1e-5, 1e-2] : [1e-5, 3e-5];
    return { inputs: [x, ...gains], expected: [near(y, 1e-5, noise), near(statistics, meanAndSlope)] };
  },
});

const backwardCase = (size: Size): Case<NormProblem> => ({
  name: nameOf(size),
  problem: problemOf(size),
  prepare(draw) {
    const [kind, rows, E, affine] = size;
    const [x, dy] = [draw.f32(rows * E, 2), draw.f32(rows * E)];
    const weight = affine > 0 ? [draw.f32(E, 1, 1)] : [];
    const forward = evaluate(op(kind), [ref([rows, E], x)], { eps: 1e-5 }) as [Ref, Ref];
    const statistics = Float32Array.from(forward[1].data);
    const refs = (sign: (v: Ref) => Ref) => [
      sign(ref([rows, E], x)),
      ref([rows, 2], statistics),
      ...weight.map((v) => ref([E], v)),
      sign(ref([rows, E], dy)),
    ];
    const gradients = evaluate(
      `${op(kind)}Backward`,
      refs((v) => v),
    ) as readonly [Ref, Ref, Ref?];
    // Σ |dy x̂| and Σ |dy|, up to the share of the mean.
    const scale = refs(magnitudes);
    const [, dweight, dbias] = evaluate('layerNormBackward', [
      scale[0] as Ref,
      ref(
        [rows, 2],
        statistics.map((value, i) => (i % 2 ? value : -Math.abs(value))),
      ),
      ...scale.slice(2),
    ]) as [Ref, Ref, Ref];
    const steepness = E === 1 ? 1e-2 : 1e-5;
    return {
      inputs: [x, statistics, ...weight, dy],
      expected: [
        near(gradients[0], 1e-5, steepness),
        ...(affine > 0 ? [summed(gradients[1], dweight, rows)] : []),
        ...(affine > 1 ? [summed(gradients[2] as Ref, dbias, rows)] : []),
      ],
    };
  },
});

/** gelu(y + bias2) fused into the store, with and without vectors. */
const fused = [['layer', 33, 31, 1] as const, ['layer', 33, 64, 1] as const].map((size): Case<NormProblem> => {
  const [, rows, E] = size;
  return {
    name: `${nameOf(size)} and an epilogue`,
    problem: { ...problemOf(size), store: biasGelu([rows, E], 2) },
    prepare(draw) {
      const { inputs, expected } = forwardCase(size).prepare(draw);
      const bias = draw.f32(E);
      const [y, statistics] = expected;
      const values = Float64Array.from(y?.values ?? [], (value, i) => geluTanh(value + (bias[i % E] as number)));
      return {
        inputs: [...inputs, bias],
        expected: [near({ data: values }, 2e-5, 5e-5), statistics ?? exact('f32', [])],
      };
    },
  };
});

conformance(norm, [...sizes.map(forwardCase), ...fused]);
conformance(normBackward, sizes.map(backwardCase));
