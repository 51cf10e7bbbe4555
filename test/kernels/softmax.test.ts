import { type SoftmaxProblem, softmax, softmaxBackward } from '../../src/kernels/softmax.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { type Case, conformance, near } from './conformance.ts';

// Rows of 1 to 256 lanes, pieces that end with the row and that do not, vectors and single values; columns, by fours and
// not; the last two are too long for one lane.
const problems: readonly SoftmaxProblem[] = [
  { log: false, outer: 1, n: 1, inner: 1 },
  { log: true, outer: 3, n: 7, inner: 1 },
  { log: false, outer: 65, n: 8, inner: 1 },
  { log: true, outer: 33, n: 33, inner: 1 },
  { log: false, outer: 31, n: 64, inner: 1 },
  { log: false, outer: 3, n: 257, inner: 1 },
  { log: true, outer: 2, n: 1024, inner: 1 },
  { log: false, outer: 2, n: 4100, inner: 1 },
  { log: false, outer: 3, n: 5, inner: 7 },
  { log: true, outer: 2, n: 129, inner: 33 },
  { log: false, outer: 3, n: 130, inner: 36 },
  { log: true, outer: 1, n: 16, inner: 4 },
  { log: false, outer: 1, n: 11003, inner: 2 },
  { log: true, outer: 2, n: 11001, inner: 1 },
];

const shapeOf = ({ outer, n, inner }: SoftmaxProblem) => [outer, n, inner];
const nameOf = ({ log, ...rest }: SoftmaxProblem) => `${log ? 'log of ' : ''}[${shapeOf({ log, ...rest })}]`;

conformance(
  softmax,
  problems.map(
    (problem): Case<SoftmaxProblem> => ({
      name: nameOf(problem),
      problem,
      prepare(draw) {
        const shape = shapeOf(problem);
        const x = draw.f32(problem.outer * problem.n * problem.inner, 20);
        // A masked element, and a row of large values.
        if (x.length > 3) x[2] = problem.log ? -1e6 : -1e30;
        if (problem.n > 1) x[x.length - 1] = 80;
        const [y] = evaluate('softmax', [ref(shape, x)], { axis: 1, log: problem.log }) as [Ref];
        return { inputs: [x], expected: [problem.log ? near(y, 1e-6, 1e-5) : near(y, 1e-5, 1e-7)] };
      },
    }),
  ),
);

conformance(
  softmaxBackward,
  problems.map(
    (problem): Case<SoftmaxProblem> => ({
      name: nameOf(problem),
      problem,
      prepare(draw) {
        const shape = shapeOf(problem);
        const size = problem.outer * problem.n * problem.inner;
        const attributes = { axis: 1, log: problem.log };
        const [exact] = evaluate('softmax', [ref(shape, draw.f32(size, 4))], attributes) as [Ref];
        const [y, dy] = [Float32Array.from(exact.data), draw.f32(size)];
        const [dx] = evaluate('softmaxBackward', [ref(shape, y), ref(shape, dy)], attributes) as [Ref];
        return { inputs: [y, dy], expected: [near(dx, 1e-5, 1e-6)] };
      },
    }),
  ),
);
