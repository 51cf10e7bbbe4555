import { describe, expect, it } from 'vitest';
import { gru, type Lengths, lstm, rnn, type Tensor } from '../../src/index.ts';
import { checkFused, checkGradients } from '../support/check.ts';
import { draw } from '../support/draw.ts';
import { useGpu } from '../support/gpu.ts';

useGpu();

interface Sizes {
  readonly T: number;
  readonly B: number;
  readonly H: number;
}
interface Options {
  readonly reverse: boolean;
  readonly lengths?: Lengths;
}

/** Each recurrence: its inputs, and its outputs from these. */
const recurrences = {
  lstm: {
    inputs: ({ T, B, H }: Sizes) => [draw([T, B, 4 * H]), draw([B, H]), draw([B, H]), weight(4 * H, H)],
    run: ([x, h, c, w]: Tensor[], options: Options) =>
      Object.values(lstm(x as Tensor, h as Tensor, c as Tensor, w as Tensor, options)),
  },
  gru: {
    inputs: ({ T, B, H }: Sizes) => [draw([T, B, 3 * H]), draw([B, H]), weight(3 * H, H), draw([3 * H])],
    run: ([x, h, w, bias]: Tensor[], options: Options) =>
      Object.values(gru(x as Tensor, h as Tensor, w as Tensor, { ...options, bias: bias as Tensor })),
  },
  'gru without a bias': {
    inputs: ({ T, B, H }: Sizes) => [draw([T, B, 3 * H]), draw([B, H]), weight(3 * H, H)],
    run: ([x, h, w]: Tensor[], options: Options) => Object.values(gru(x as Tensor, h as Tensor, w as Tensor, options)),
  },
  rnn: {
    inputs: ({ T, B, H }: Sizes) => [draw([T, B, H]), draw([B, H]), weight(H, H)],
    run: ([x, h, w]: Tensor[], options: Options) => Object.values(rnn(x as Tensor, h as Tensor, w as Tensor, options)),
  },
  'rnn of relu': {
    inputs: ({ T, B, H }: Sizes) => [draw([T, B, H]), draw([B, H]), weight(H, H)],
    run: ([x, h, w]: Tensor[], options: Options) =>
      Object.values(rnn(x as Tensor, h as Tensor, w as Tensor, { ...options, nonlinearity: 'relu' })),
  },
};
const weight = (rows: number, H: number) => draw([rows, H], -1 / Math.sqrt(H), 1 / Math.sqrt(H));

/** How many steps are a row's own: one, all, and some. */
const lengthsOf = ({ T, B }: Sizes) => Array.from({ length: B }, (_, b) => [1, T, 1 + (b % T)][b % 3] as number);

describe.for(Object.keys(recurrences) as (keyof typeof recurrences)[])('%s', (name) => {
  const { inputs, run } = recurrences[name];

  it.for([
    { T: 1, B: 1, H: 1, reverse: false },
    { T: 4, B: 4, H: 3, reverse: false },
    { T: 4, B: 3, H: 33, reverse: true },
    { T: 3, B: 5, H: 64, reverse: false },
    { T: 2, B: 3, H: 260, reverse: true },
  ])('$T steps of $B rows of $H units, reverse $reverse, with and without lengths', async ({ reverse, ...sizes }) => {
    const finite = sizes.T * sizes.B * sizes.H <= 60;
    for (const own of [{}, { lengths: lengthsOf(sizes) }])
      await checkGradients((...given) => run(given, { reverse, ...own }), inputs(sizes), { finite });
  });

  it('is what its definition in plain ops gives', async () => {
    const sizes = { T: 4, B: 3, H: 6 };
    for (const reverse of [false, true])
      for (const own of [{}, { lengths: lengthsOf(sizes) }]) {
        // The last state is a view of what the op gives, with lengths too.
        const [, h] = run(inputs(sizes), { reverse, ...own });
        await checkFused(h as Tensor);
      }
  });
});

describe('recurrences say what they want', () => {
  const [T, B, H] = [3, 2, 4];
  it.for([
    [() => gru(draw([T, B, 3 * H]), draw([B, H]), draw([4 * H, H])), 'the weight [3H, H], got [2, 4] and [16, 4]'],
    [() => gru(draw([T, B, 10]), draw([B, H]), draw([3 * H, H])), '[gru] for gatesX [3, 2, 10] = [T, B, 3H]'],
    [
      () => gru(draw([T, B, 3 * H]), draw([B, H]), draw([3 * H, H]), { bias: draw([H]) }),
      '[gru] the bias must be [3H] = [12], got [4]',
    ],
    [
      () => rnn(draw([T, B, H]), draw([B, 3]), draw([H, H])),
      '[rnn] for gatesX [3, 2, 4] = [T, B, H], h0 must be [B, H]',
    ],
    [
      () => rnn(draw([T, B, H]), draw([B, H]), draw([H, H]), { lengths: [1, 4] }),
      '[rnn] lengths must be 2 integers, one for each row of the batch, from 1 to 3',
    ],
    [
      () => lstm(draw([T, B, 4 * H]), draw([B, H]), draw([B, H]), draw([4 * H, H]), { lengths: [3] }),
      '[lstm] lengths must be 2 integers, one for each row of the batch, from 1 to 3, got [3]',
    ],
  ] as const)('%#', ([call, message]) => expect(call).toThrow(message));
});
