import { describe, expect, it } from 'vitest';
import { type AttentionOptions, grad, scaledDotProductAttention, type Tensor, tensor } from '../../src/index.ts';
import { interpret } from '../reference/interpret.ts';
import { checkFused, checkGradients } from '../support/check.ts';
import { draw, drawBool } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { checkGolden, goldenCases } from './golden.ts';

useGpu();

const heads = (B: number, H: number, L: number, S: number, D: number) =>
  [draw([B, H, L, D]), draw([B, H, S, D]), draw([B, H, S, D])] as const;
const attend = (options: AttentionOptions) => (q?: Tensor, k?: Tensor, v?: Tensor) =>
  scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor, options);

describe('scaledDotProductAttention', async () => {
  it.for(await goldenCases('attention'))('agrees with PyTorch: $name', ({ load }) => {
    const { name, options, x } = load();
    // An output for backward alone.
    const { lse: _, ...rest } = x;
    return checkGolden({ name, options, x: rest }, ({ q, k, v, mask }) => ({
      y: scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor, {
        causal: options.causal as boolean,
        mask: mask ?? null,
        ...(options.scale === null ? {} : { scale: options.scale as number }),
      }),
    }));
  });

  // Few head sizes: each is a kernel of its own, and those of a GPU take a software adapter long to compile.
  it.for([
    { B: 1, H: 1, L: 1, S: 1, D: 7, causal: false },
    { B: 2, H: 1, L: 3, S: 2, D: 7, causal: false },
    { B: 1, H: 2, L: 31, S: 65, D: 4, causal: false },
    { B: 1, H: 1, L: 65, S: 64, D: 4, causal: true },
    { B: 1, H: 2, L: 32, S: 33, D: 4, causal: true },
    { B: 1, H: 1, L: 129, S: 127, D: 7, causal: false },
    { B: 1, H: 1, L: 5, S: 9, D: 128, causal: true },
  ])('[$B, $H, $L, $D] to $S keys, causal $causal', async ({ B, H, L, S, D, causal }) => {
    await checkGradients(attend({ causal }), heads(B, H, L, S, D), { finite: L * S * D <= 200 });
  });

  it('has the gradients that differences show', async () => {
    await checkGradients(attend({ causal: true }), heads(1, 2, 4, 4, 4));
    await checkGradients(attend({ scale: 0.7, mask: draw([4, 5]) }), heads(2, 1, 4, 5, 7));
  });

  it('takes masks of each shape that broadcasts, of numbers and of booleans', async () => {
    const qkv = heads(2, 3, 4, 6, 7);
    for (const mask of [
      draw([4, 6]),
      draw([2, 1, 1, 6]),
      draw([3, 4, 1]),
      drawBool([2, 3, 4, 6]),
      draw([6, 4]).transpose(),
    ]) {
      await checkGradients(attend({ mask }), qkv, { finite: false });
    }
  });

  it('has the gradient of a mask of numbers, such as a bias that is learned for each distance', () =>
    checkGradients(
      (q, k, v, bias) => attend({ mask: bias as Tensor, causal: true, dropout: 0.3 })(q, k, v),
      [...heads(2, 2, 4, 4, 4), draw([2, 1, 4])],
    ));

  it('gives zeros to a query that may see no key', async () => {
    const mask = tensor([
      [true, false],
      [false, false],
    ]);
    const [o] = await read(attend({ mask })(...heads(1, 1, 2, 2, 7)));
    expect([...(o as Float32Array)].slice(7).every((value) => value === 0)).toBe(true);
    await checkGradients(attend({ mask }), heads(1, 1, 2, 2, 7), { finite: false });
  });

  it.for([
    [5, 7],
    [6, 8],
  ] as const)('drops the same weights in backward: [%i, %i]', async ([L, S]) => {
    await checkGradients(attend({ dropout: 0.4 }), heads(1, 2, L, S, 4));
  });

  it('is what its definition in plain ops gives', async () => {
    await checkFused(attend({})(...heads(2, 2, 5, 7, 4)));
    await checkFused(attend({ causal: true, scale: 0.3, mask: draw([2, 1, 5, 5]) })(...heads(2, 2, 5, 5, 7)));
    await checkFused(attend({ mask: drawBool([5, 7]), dropout: 0.5 })(...heads(2, 2, 5, 7, 4)));
  });

  it('takes heads that lie as a projection left them, and gives them back merged for free', async () => {
    const [B, L, H, D] = [2, 9, 2, 4];
    await checkGradients(
      (x) => {
        const [q, k, v] = (x as Tensor).split(H * D, 2).map((part) => part.reshape([B, L, H, D]).permute([0, 2, 1, 3]));
        return scaledDotProductAttention(q as Tensor, k as Tensor, v as Tensor, { causal: true })
          .permute([0, 2, 1, 3])
          .reshape([B, L, H * D]);
      },
      [draw([B, L, 3 * H * D])],
    );
  });

  // Both the kernels for small problems and those for large ones; 72 positions end within a tile and within a lane's rows.
  it.for([
    [5, 5, 7],
    [72, 72, 8],
    [72, 40, 8],
    [40, 72, 8],
    [72, 72, 128],
  ] as const)('NaN reaches no row that may not see it: %i queries, %i keys, heads of %i', async ([L, S, D]) => {
    const few = Math.min(L, S);
    const hides = { causal: { causal: true }, mask: { mask: tensor(hiding(L, S), { shape: [L, S] }) } };
    const cases = Object.entries(hides).flatMap(([how, options]) =>
      ['q', 'k', 'v', 'dO'].flatMap((which, i) =>
        [i % 2, few - 1 - 4 * i * Number(few > 20)].map((row) => {
          const of = (name: string, rows: number) => withNaN([1, 2, rows, D], name === which ? row : null);
          const inputs = [of('q', L), of('k', S), of('v', S)];
          const O = attend(options)(...inputs);
          return { what: `${how}, ${which} row ${row}`, roots: [O, ...grad(O.mul(of('dO', L)).sum(), inputs)] };
        }),
      ),
    );
    const roots = cases.flatMap((each) => each.roots);
    const expected = interpret(roots).map(({ value }) => Array.from(value.data, Number.isNaN));
    const actual = (await read(...roots)).map((values) => Array.from(values as Float32Array, Number.isNaN));
    for (const [i, { what }] of cases.entries())
      for (let n = 4 * i; n < 4 * i + 4; n++) {
        const wrong = actual[n]?.findIndex((found, at) => found !== expected[n]?.[at]);
        expect(wrong, `${what}: result ${n - 4 * i} is NaN where it must not be, or is not`).toBe(-1);
      }
  });
});

/** Hides half of the keys from two rows of three, in a pattern. */
const hiding = (L: number, S: number) =>
  Float32Array.from({ length: L * S }, (_, i) =>
    Math.floor(i / S) % 3 !== 1 && ((i % S) + Math.floor(i / S)) % 2 === 1 ? -Infinity : 0,
  );

/** Drawn values, NaN in one element of a row of the last head. */
function withNaN(shape: readonly [number, number, number, number], row: number | null): Tensor {
  const [, , rows, D] = shape;
  const values = Float32Array.from(draw(shape).host as Float32Array);
  if (row !== null) values[(rows + row) * D + (row % D)] = Number.NaN;
  return tensor(values, { shape });
}
