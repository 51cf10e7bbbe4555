import {
  type AdditiveAttentionBackwardProblem,
  type AdditiveAttentionProblem,
  additiveAttention,
  additiveAttentionBackward,
} from '../../src/kernels/additiveAttention.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { sum } from '../reference/ref.ts';
import { type Case, conformance, type Expected, near, ulp } from './conformance.ts';
import type { Draw } from './draw.ts';

/** Sources with and without lengths; vectors of four and not; more positions, columns and rows than lanes; one of everything. */
const problems: readonly AdditiveAttentionProblem[] = [
  { B: 1, Q: 1, S: 1, A: 1, D: 1, lengths: null },
  { B: 3, Q: 2, S: 5, A: 4, D: 8, lengths: 'i32' },
  { B: 2, Q: 7, S: 33, A: 6, D: 3, lengths: 'u32' },
  { B: 65, Q: 1, S: 31, A: 12, D: 16, lengths: 'i32' },
  { B: 2, Q: 40, S: 65, A: 33, D: 64, lengths: null },
  { B: 1, Q: 3, S: 300, A: 64, D: 257, lengths: 'i32' },
  { B: 1, Q: 1100, S: 3, A: 9, D: 5, lengths: 'u32' },
];

const nameOf = ({ B, Q, S, A, D, lengths }: AdditiveAttentionProblem) =>
  `B ${B}, Q ${Q}, S ${S}, A ${A}, D ${D}${lengths ? `, lengths of ${lengths}` : ''}`;

type Given = readonly [queries: Ref, keys: Ref, values: Ref, v: Ref, lengths: Ref];

/** Lengths from 1 to S, both among them; what lies behind them is NaN. */
function drawn({ B, Q, S, A, D, lengths }: AdditiveAttentionProblem, draw: Draw): Given {
  const ends = lengths ? draw.i32(B, 1, S + 1) : new Int32Array(B).fill(S);
  if (lengths) [ends[0], ends[B - 1]] = B > 1 ? [1, S] : [Math.ceil(S / 2), Math.ceil(S / 2)];
  const given: Given = [
    ref([B, Q, A], draw.f32(B * Q * A)),
    ref([B, S, A], draw.f32(B * S * A)),
    ref([B, S, D], draw.f32(B * S * D)),
    ref([A], draw.f32(A)),
    ref([B], ends),
  ];
  for (const [x, width] of [
    [given[1], A],
    [given[2], D],
  ] as const)
    for (const [b, end] of ends.entries()) x.data.fill(Number.NaN, (b * S + end) * width, (b + 1) * S * width);
  return given;
}
const f32 = ({ data }: Ref) => Float32Array.from(data);
const lengthsOf = ({ data }: Ref, type: 'i32' | 'u32' | null) =>
  type === null ? [] : [type === 'i32' ? Int32Array.from(data) : Uint32Array.from(data)];

/**
 * A score is a sum of A products, each with a tanh that is off by 24 u at most, and an error e of a score moves a weight w by
 * w e. So does that of the exponential: 2⁻²¹ for arguments of up to 2 Σ |v|.
 */
const scoreError = (v: Ref) => {
  const size = v.data.reduce((sum, x) => sum + Math.abs(x), 0);
  return ulp * (size * (14 + 2 * Math.sqrt(v.data.length)) + 4 + 4 * size);
};

const bad: readonly Case<AdditiveAttentionProblem>[] = [
  [0, 2, 3],
  [1, -1, 3],
  [1, 2, 4],
].map((lengths) => ({
  name: `lengths ${lengths} of 3 positions`,
  problem: { B: 3, Q: 2, S: 3, A: 4, D: 4, lengths: 'i32' },
  prepare(draw) {
    const given = [ref([3, 2, 4], draw.f32(24)), ref([3, 3, 4], draw.f32(36)), ref([3, 3, 4], draw.f32(36))];
    const all = [...given, ref([4], draw.f32(4)), ref([3], lengths)];
    const [context, weights] = evaluate('additiveAttention', all) as [Ref, Ref];
    return {
      inputs: [...all.slice(0, 4).map(f32), Int32Array.from(lengths)],
      expected: [near(context, 1e-5), near(weights, 1e-5)],
      status: 1,
    };
  },
}));
conformance(additiveAttention, [
  ...problems.map(
    (problem): Case<AdditiveAttentionProblem> => ({
      name: nameOf(problem),
      problem,
      prepare(draw) {
        const given = drawn(problem, draw);
        const [context, weights] = evaluate('additiveAttention', given) as [Ref, Ref];
        const error = 2 * scoreError(given[3]) + ulp * (4 + 2 * Math.sqrt(problem.S));
        return {
          inputs: [...given.slice(0, 4).map(f32), ...lengthsOf(given[4], problem.lengths)],
          // Values are at most 1, and the weights add up to 1.
          expected: [near(context, 0, error), near(weights, error, 1e-30)],
        };
      },
    }),
  ),
  ...bad,
]);

conformance(
  additiveAttentionBackward,
  problems.flatMap(({ lengths, ...sizes }, i) => {
    const { B, Q, S, A, D } = sizes;
    const weighted = i % 2 === 0;
    const offsets = [B * Q * A, B * (Q + S) * A, B * (Q + S) * A + B * S * D] as const;
    return {
      name: `${nameOf({ lengths, ...sizes })}${weighted ? ', the weights have a gradient' : ''}`,
      problem: { ...sizes, weighted, offsets },
      prepare(draw) {
        const given = drawn({ lengths, ...sizes }, draw);
        const [, exact] = evaluate('additiveAttention', given) as [Ref, Ref];
        const weights = ref(exact.shape, Float32Array.from(exact.data));
        const seeds = [ref([B, Q, D], draw.f32(B * Q * D)), ref([B, Q, S], draw.f32(B * Q * S))];
        const inputs = [...given.slice(0, 4), weights, ...seeds.slice(0, weighted ? 2 : 1)];
        const gradients = evaluate('additiveAttentionBackward', inputs) as readonly Ref[];
        return { inputs: inputs.map(f32), expected: [together(gradients, inputs, sizes)] };
      },
    } satisfies Case<AdditiveAttentionBackwardProblem>;
  }),
);

/**
 * The gradient of a weight is a sum of D products of numbers up to 1, and the weights add up to 1: that of a score is off by
 * w ε with ε = ulp (D + 2) (4 + 2 √(D + S)). Those of the inputs are sums of products with these: over S for a query, Q for a
 * key, and all rows for v, in which the tanh is off by 24 u besides.
 */
function together(
  gradients: readonly Ref[],
  inputs: readonly Ref[],
  sizes: { Q: number; S: number; D: number },
): Expected {
  const { Q, S, D } = sizes;
  const [, , , v, weights] = inputs as readonly Ref[] as [Ref, Ref, Ref, Ref, Ref];
  const factor = v.data.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const epsilon = ulp * (D + 2) * (4 + 2 * Math.sqrt(D + S) + 24);
  const rows = weights.data.length / S;
  // Sums of weights: of a row 1, and of a position those of its queries.
  const position = (b: number, s: number) =>
    sum(Array.from({ length: Q }, (_, q) => weights.data[(b * Q + q) * S + s] as number));
  const tolerances = gradients.map((gradient, n) => {
    const width = gradient.shape.at(-1) as number;
    return gradient.data.map((_, i) => {
      const at = Math.floor(i / width);
      if (n === 0) return factor * epsilon * (1 + Math.sqrt(S) / 8);
      if (n === 3) return epsilon * rows;
      const total = position(Math.floor(at / S), at % S) * (1 + Math.sqrt(Q) / 8) + 1e-30;
      return n === 1 ? factor * epsilon * total : ulp * (4 + 2 * Math.sqrt(Q)) * total;
    });
  });
  return {
    dtype: 'f32',
    values: gradients.flatMap(({ data }) => [...data]),
    tolerance: tolerances.flatMap((each) => [...each]),
  };
}
