import { type CtcLossProblem, ctcLoss, ctcLossBackward } from '../../src/kernels/ctcLoss.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, near, ulp } from './conformance.ts';
import type { Draw } from './draw.ts';

const i32 = ['i32', 'i32', 'i32'] as const;
/** Fewer states than lanes and more, the blank first, last and between, one of everything. */
const problems: readonly CtcLossProblem[] = [
  { T: 1, B: 1, C: 2, L: 1, blank: 0, types: i32 },
  { T: 7, B: 3, C: 4, L: 3, blank: 3, types: ['u32', 'i32', 'u32'] },
  { T: 33, B: 5, C: 3, L: 15, blank: 1, types: i32 },
  { T: 40, B: 2, C: 65, L: 31, blank: 0, types: ['i32', 'u32', 'i32'] },
  { T: 310, B: 2, C: 9, L: 150, blank: 0, types: i32 },
];

type Given = readonly [logProbs: Ref, targets: Ref, inputs: Ref, labels: Ref];

/** Labels that repeat here and there, targets from none to all of them, and inputs that are long enough. */
function drawn({ T, B, C, L, blank }: CtcLossProblem, draw: Draw): Given {
  const logProbs = draw.f32(T * B * C, 1, -Math.log(C));
  const targets = draw.i32(B * L, 0, C - 1).map((id) => id + Number(id >= blank));
  const labels = Int32Array.from({ length: B }, (_, b) => (b === 0 ? L : b === 1 ? 0 : Math.ceil(L / 2)));
  const inputs = Int32Array.from(labels, (l, b) => {
    const own = targets.subarray(b * L, b * L + l);
    const least = l + own.filter((id, k) => id === own[k - 1]).length;
    return b === 0 || least >= T ? T : Math.max(1, least, T - 3 * b);
  });
  return [ref([T, B, C], logProbs), ref([B, L], targets), ref([B], inputs), ref([B], labels)];
}
const arrays = ([logProbs, ...ids]: Given, { types }: CtcLossProblem) => [
  Float32Array.from(logProbs.data),
  ...ids.map(({ data }, i) => (types[i] === 'i32' ? Int32Array.from(data) : Uint32Array.from(data))),
];
const nameOf = ({ T, B, C, L, blank }: CtcLossProblem) => `T ${T}, B ${B}, C ${C}, L ${L}, blank ${blank}`;
/** Sums grow to T (ln C + 1); each time adds two roundings of that, three exponentials and a logarithm, of which 2⁻²¹ is the worst. */
const error = ({ T, C }: CtcLossProblem) => T * ulp * (2 * T * (Math.log(C) + 1) + 16);

conformance(ctcLoss, [
  ...problems.map(
    (problem): Case<CtcLossProblem> => ({
      name: nameOf(problem),
      problem,
      prepare(draw) {
        const given = drawn(problem, draw);
        const [losses, sums] = evaluate('ctcLoss', given, { blank: problem.blank }) as [Ref, Ref];
        return {
          inputs: arrays(given, problem),
          expected: [near(losses, ulp, error(problem)), near(sums, ulp, error(problem))],
        };
      },
    }),
  ),
  {
    name: 'a label that is the blank',
    problem: { T: 3, B: 1, C: 3, L: 1, blank: 2, types: i32 },
    prepare: (draw) => ({
      inputs: [draw.f32(9), Int32Array.of(2), Int32Array.of(3), Int32Array.of(1)],
      expected: [
        { dtype: 'f32', values: [0], tolerance: 100 },
        { dtype: 'f32', values: new Array(9).fill(0), tolerance: 2e30 },
      ],
      status: 1,
    }),
  },
]);

conformance(
  ctcLossBackward,
  problems.map(
    (problem): Case<CtcLossProblem> => ({
      name: nameOf(problem),
      problem,
      prepare(draw) {
        const given = drawn(problem, draw);
        const [losses, sums] = (evaluate('ctcLoss', given, { blank: problem.blank }) as [Ref, Ref]).map(
          ({ shape, data }) => ref(shape, Float32Array.from(data)),
        ) as [Ref, Ref];
        const seeds = [...losses.data].flatMap((loss, b) => [loss, b === 2 ? 0 : (draw.f32(1)[0] ?? 0)]);
        const all = [...given, sums, ref([problem.B, 2], seeds)];
        const [gradient] = evaluate('ctcLossBackward', all, { blank: problem.blank }) as [Ref];
        return {
          inputs: [...arrays(given, problem), Float32Array.from(sums.data), Float32Array.from(seeds)],
          // A share is the exponential of such sums, and at most 1.
          expected: [near(gradient, 3 * error(problem), 1e-6)],
        };
      },
    }),
  ),
);
