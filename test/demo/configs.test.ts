import { describe, expect, it } from 'vitest';
import { configOf, withSteps } from '../../demo/configs.ts';

describe('configurations', () => {
  it('nanogpt-cpu is the recipe of nanoGPT for a CPU', () => {
    expect(configOf('nanogpt-cpu', 'gpt', null)).toEqual({
      model: 'gpt',
      sizes: { layers: 4, heads: 4, width: 128 },
      context: 64,
      batch: 12,
      steps: 2000,
      lr: 1e-3,
      finalLr: 1e-4,
      warmup: 100,
      betas: [0.9, 0.99],
      weightDecay: 0.1,
      clip: 1,
    });
    expect(configOf('nanogpt-cpu', 'lstm', null)).toMatchObject({
      sizes: { layers: 2, embedding: 256, hidden: 256 },
      steps: 2000,
      lr: 3e-3,
      finalLr: 3e-4,
    });
  });

  it('warm up for no more than a tenth of a shorter run', () => {
    expect(withSteps(configOf('nanogpt-cpu', 'gpt', null), 20)).toMatchObject({ steps: 20, warmup: 2 });
    expect(withSteps(configOf('nanogpt-cpu', 'gpt', null), 5000)).toMatchObject({ steps: 5000, warmup: 100 });
  });

  it('are looked up by name', () => {
    expect(() => configOf('huge', 'gpt', null)).toThrow(
      'there is no configuration huge; there are default, nanogpt-cpu',
    );
  });
});
