import { describe, expect, it } from 'vitest';
import { constant, cosine, inverseSquareRoot, linear, type Schedule, stepwise, warmup } from '../../src/optim/index.ts';
import { goldenCases, stored } from '../support/golden.ts';

/** The schedules that the cases describe; those of PyTorch that weft has no need for are missing. */
const schedules: Readonly<Record<string, (options: Record<string, number>) => Schedule>> = {
  step: ({ stepSize = 1, gamma = 1 }) => stepwise({ every: stepSize, gamma }),
  exponential: ({ gamma = 1 }) => stepwise({ every: 1, gamma }),
  cosine: ({ steps = 1, minimum = 0, lr = 1 }) => cosine({ steps, minimum: minimum / lr }),
  linear: ({ startFactor = 1, endFactor = 1, steps = 1 }) => linear({ from: startFactor, to: endFactor, steps }),
  cosineWithWarmUp: ({ warmUp = 0, steps = 1, minimumFactor = 0 }) =>
    warmup(cosine({ steps: steps - warmUp, minimum: minimumFactor }), warmUp),
  linearWithWarmUp: ({ warmUp = 0, steps = 1 }) => warmup(linear({ steps: steps - warmUp }), warmUp),
  inverseSquareRoot: ({ warmUp = 1 }) => warmup(inverseSquareRoot({ steps: warmUp }), warmUp),
};

describe('schedules agree with PyTorch', async () => {
  const cases = (await goldenCases('schedule')).filter(({ name }) => name in schedules);
  it.for(cases)('$name', (golden) => {
    const options = golden.options as Record<string, number>;
    const schedule = (schedules[golden.name] as (typeof schedules)[string])(options);
    const rates = stored(golden, 'lr').data;
    const [from, to] = compared(golden.name, options, rates.length);
    for (let step = from; step < to; step++)
      expect((options.lr as number) * schedule(step), `step ${step}`).toBeCloseTo(rates[step] as number, 7);
  });

  it('has a case for each schedule', () => expect(cases.length).toBe(Object.keys(schedules).length));
});

/** Steps in which both mean the same. */
function compared(
  name: string,
  { steps = 0, warmUp = 0 }: Record<string, number>,
  length: number,
): [from: number, to: number] {
  // PyTorch's cosine rises again after its last step, weft's stays at the minimum.
  if (name === 'cosine') return [0, steps + 1];
  // The formula's warm-up goes to 1, weft's to the first value after it, √(w/(w + 1)).
  return [name === 'inverseSquareRoot' ? warmUp : 0, length];
}

describe('schedules', () => {
  it('stay where they end', () => {
    expect(cosine({ steps: 5, minimum: 0.1 })(500)).toBeCloseTo(0.1, 12);
    expect(linear({ steps: 5, to: 0.25 })(500)).toBe(0.25);
    expect(constant()(500)).toBe(1);
    expect(warmup(constant(), 4)(1)).toBe(0.5);
    expect(warmup(constant(), 0)(0)).toBe(1);
  });

  it('say what they want', () => {
    expect(() => cosine({ steps: 0 })).toThrow('[cosine] steps must be a positive integer, got 0');
    expect(() => linear({ steps: 5, to: -1 })).toThrow('[linear] to must be a finite number of at least 0, got -1');
    expect(() => stepwise({ every: 2, gamma: Number.NaN })).toThrow(
      '[stepwise] gamma must be a finite number of at least 0, got NaN',
    );
    expect(() => warmup(constant(), -1)).toThrow('[warmup] steps must be an integer of at least 0, got -1');
  });
});
