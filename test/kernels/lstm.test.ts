import { type LstmCellProblem, lstmCell, lstmCellBackward } from '../../src/kernels/lstm.ts';
import { evaluate, ref } from '../reference/index.ts';
import { type Case, conformance, near } from './conformance.ts';

const cells: readonly LstmCellProblem[] = [
  { B: 1, H: 1 },
  { B: 3, H: 33 },
  { B: 5, H: 64 },
];

conformance(
  lstmCell,
  cells.map(
    (problem): Case<LstmCellProblem> => ({
      name: `B ${problem.B}, H ${problem.H}`,
      problem,
      prepare(draw) {
        const { B, H } = problem;
        // Beyond where tanh and exp of some drivers overflow.
        const [pre, c] = [draw.f32(B * 4 * H, 100), draw.f32(B * H, 3)];
        const outputs = evaluate('lstmCell', [ref([B, 4 * H], pre), ref([B, H], c)]);
        return { inputs: [pre, c], expected: outputs.map((output) => near(output, 1e-5, 1e-6)) };
      },
    }),
  ),
);

conformance(
  lstmCellBackward,
  cells.map(
    (problem): Case<LstmCellProblem> => ({
      name: `B ${problem.B}, H ${problem.H}`,
      problem,
      prepare(draw) {
        const { B, H } = problem;
        const inputs = [
          draw.f32(B * H),
          draw.f32(B * H),
          draw.f32(B * 4 * H, 0.5, 0.5),
          draw.f32(B * H),
          draw.f32(B * H, 3),
        ];
        const shapes = inputs.map(({ length }) => [B, length / B]);
        const outputs = evaluate(
          'lstmCellBackward',
          inputs.map((data, i) => ref(shapes[i] as number[], data)),
        );
        return { inputs, expected: outputs.map((output) => near(output, 1e-5, 1e-6)) };
      },
    }),
  ),
);
