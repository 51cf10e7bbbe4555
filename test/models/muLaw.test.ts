import { describe, expect, it } from 'vitest';
import { muLawDecoding, muLawEncoding } from '../../src/models/index.ts';

describe('the µ-law', () => {
  it('has the levels of its formula', () => {
    // F(x) = ln(1 + 255·x)/ln(256), at x = (256^(k/8) − 1)/255 for k eighths of the way up: 127.5 + 127.5·k/8, rounded.
    const eighths = Array.from({ length: 9 }, (_, k) => (256 ** (k / 8) - 1) / 255);
    // 143.4, 159.4, 175.3, 191.25, 207.2, 223.1, 239.1
    expect([...muLawEncoding(eighths)]).toEqual([128, 143, 159, 175, 191, 207, 223, 239, 255]);
    expect([...muLawEncoding([-1, -0.5, 0, 0.5, 1], 4)]).toEqual([0, 1, 2, 2, 3]);
    expect([...muLawEncoding([-7, 7])]).toEqual([0, 255]);
    expect([...muLawDecoding([0, 255])]).toEqual([-1, 1]);
    // Level 3/4 of the way between −1 and 1 for µ = 4: (5^½ − 1)/4.
    expect(muLawDecoding([3], 5)[0]).toBeCloseTo((Math.sqrt(5) - 1) / 4, 6);
  });

  it.for([2, 5, 64, 256, 65536])('of %s levels gives back every level, and every wave to half a level', (levels) => {
    const all = Int32Array.from({ length: levels }, (_, level) => level);
    const waves = muLawDecoding(all, levels);
    expect(muLawEncoding(waves, levels)).toEqual(all);
    for (const x of [-0.99, -0.3, -0.01, 0, 1e-4, 0.2, 0.77]) {
      const [level] = muLawEncoding([x], levels) as unknown as [number];
      const [y] = muLawDecoding([level], levels) as unknown as [number];
      const near = [level - 1, level + 1].filter((other) => other >= 0 && other < levels);
      // No neighbour is much nearer: the law rounds in its own scale, whose slope changes by (1 + µ)^(1/µ) at most from one to the next.
      for (const other of near)
        expect(Math.abs(x - y)).toBeLessThanOrEqual(
          Math.abs(x - (waves[other] as number)) * levels ** (2 / (levels - 1)),
        );
    }
  });

  it('is finer where it is quiet', () => {
    const error = (x: number) => Math.abs(x - (muLawDecoding([...muLawEncoding([x], 64)], 64)[0] as number));
    const most = (low: number, high: number) =>
      Math.max(...Array.from({ length: 200 }, (_, i) => error(low + ((high - low) * i) / 200)));
    expect(most(0, 0.05) * 4).toBeLessThan(most(0.5, 1));
  });

  it('says what it wants', () => {
    expect(() => muLawEncoding('wave' as never)).toThrow('[muLawEncoding] takes a wave as numbers in [-1, 1]');
    expect(() => muLawEncoding([0, Number.NaN])).toThrow('[muLawEncoding] sample 1 of the wave is NaN');
    expect(() => muLawEncoding([0], 1)).toThrow('[muLawEncoding] levels must be an integer from 2 to 65536, got 1');
    expect(() => muLawDecoding(Float32Array.of(1) as never)).toThrow('[muLawDecoding] takes levels in an Int32Array');
    expect(() => muLawDecoding([3, 64], 64)).toThrow('[muLawDecoding] level 1 is 64; levels go from 0 to 63');
  });
});
