import { type Case, type Expected, type Inputs, normal, spread, unit } from './suite.ts';

/** 3×3 windows of pictures with a pixel of zeros around them: x [B, C, S, S], weight [F, C, 3, 3], y and dY [B, F, S, S]. */
export interface ConvProblem extends Inputs<'x' | 'weight' | 'dY'> {
  readonly kind: 'conv forward' | 'conv forward+backward';
  readonly B: number;
  readonly C: number;
  readonly F: number;
  readonly S: number;
}

export const convCases: readonly Case[] = (['conv forward', 'conv forward+backward'] as const).map((kind) =>
  convCase(kind, 8, 64, 64, 32),
);

function convCase(kind: ConvProblem['kind'], B: number, C: number, F: number, S: number): Case {
  const backward = kind === 'conv forward+backward';
  const pictures = B * S * S;
  // Products of one output, of one gradient of an input, and of one of a weight.
  const terms = backward ? Math.max(9 * C, 9 * F, pictures) : 9 * C;
  return {
    suite: 'kernels',
    name: kind,
    shape: `B${B} ${C}→${F} ${S}x${S} 3x3`,
    quick: true,
    flops: 2 * pictures * F * 9 * C * (backward ? 3 : 1),
    bytes: 4 * (pictures * (C + F) * (backward ? 2 : 1) + 9 * F * C * (backward ? 2 : 1)),
    bound: 'arithmetic',
    // γ_K Σ|a||b|, where Σ|a||b| ≈ 0.64 K and the largest result is about 4 √K.
    tolerance: unit * terms * 0.16 * Math.sqrt(terms),
    problem: (): ConvProblem => ({
      ...{ kind, B, C, F, S, x: normal(pictures * C, 1), weight: normal(9 * F * C, 2), dY: normal(pictures * F, 3) },
    }),
    expected: (problem) => {
      const given = problem as ConvProblem;
      return [outputs(given), ...(backward ? [gradientsOfX(given), gradientsOfWeight(given)] : [])];
    },
  };
}

/** The taps of a window whose middle is [i, j], with the pixel that each meets. */
function* taps(S: number, i: number, j: number): Generator<readonly [tap: number, pixel: number]> {
  for (let tap = 0; tap < 9; tap++) {
    const [row, column] = [i + Math.floor(tap / 3) - 1, j + (tap % 3) - 1];
    if (row >= 0 && row < S && column >= 0 && column < S) yield [tap, row * S + column];
  }
}

const some = (output: string, length: number, value: (index: number) => number): Expected => {
  const indices = spread(length, 500);
  return { output, indices, values: indices.map(value) };
};

function outputs({ B, C, F, S, x, weight }: ConvProblem): Expected {
  return some('y', B * F * S * S, (index) => {
    const [plane, pixel] = [Math.floor(index / (S * S)), index % (S * S)];
    const [b, f] = [Math.floor(plane / F), plane % F];
    let total = 0;
    for (const [tap, at] of taps(S, Math.floor(pixel / S), pixel % S))
      for (let c = 0; c < C; c++)
        total += (x[(b * C + c) * S * S + at] as number) * (weight[(f * C + c) * 9 + tap] as number);
    return total;
  });
}

/** The window of y whose tap meets a pixel of x lies where the opposite tap of a window of x lies. */
function gradientsOfX({ B, C, F, S, weight, dY }: ConvProblem): Expected {
  return some('dX', B * C * S * S, (index) => {
    const [plane, pixel] = [Math.floor(index / (S * S)), index % (S * S)];
    const [b, c] = [Math.floor(plane / C), plane % C];
    let total = 0;
    for (const [tap, at] of taps(S, Math.floor(pixel / S), pixel % S))
      for (let f = 0; f < F; f++)
        total += (dY[(b * F + f) * S * S + at] as number) * (weight[(f * C + c) * 9 + 8 - tap] as number);
    return total;
  });
}

function gradientsOfWeight({ B, C, F, S, x, dY }: ConvProblem): Expected {
  return some('dWeight', F * C * 9, (index) => {
    const [plane, wanted] = [Math.floor(index / 9), index % 9];
    const [f, c] = [Math.floor(plane / C), plane % C];
    let total = 0;
    for (let b = 0; b < B; b++)
      for (let pixel = 0; pixel < S * S; pixel++)
        for (const [tap, at] of taps(S, Math.floor(pixel / S), pixel % S))
          if (tap === wanted)
            total += (dY[(b * F + f) * S * S + pixel] as number) * (x[(b * C + c) * S * S + at] as number);
    return total;
  });
}
