import { describe, expect, it } from 'vitest';
import { outline, resample, svgChart } from '../../demo/chart.ts';

describe('the loss curve', () => {
  const losses = Array.from({ length: 300 }, (_, i) => 2 + 3 / (1 + i / 20));

  it('keeps a short list, and takes means of a long one', () => {
    expect(resample([3, 2, 1], 10)).toEqual([3, 2, 1]);
    expect(resample([4, 2, 3, 1], 2)).toEqual([3, 2]);
    expect(resample(losses, 70)).toHaveLength(70);
    expect(resample([5, 4, 3, 2, 1], 3)).toEqual([5, 3.5, 1.5]);
  });

  it('is an SVG document with the losses and both levels', () => {
    const svg = svgChart({ title: 'GPT on <text> & more', losses, validation: 2.345, bigram: 2.7 });
    expect(rootOf(svg)).toBe('svg');
    expect(svg).toContain('GPT on &lt;text&gt; &amp; more');
    expect(svg).toContain('validation 2.345');
    expect(svg).toContain('bigram counts 2.700');
    expect(svg.match(/<polyline/g)).toHaveLength(2);
    expect(svg).not.toMatch(/NaN|Infinity/);
  });

  it('can be drawn of a single loss, and where a loss is no number', () => {
    expect(svgChart({ title: 'x', losses: [4.8], validation: null, bigram: 2.7 })).not.toMatch(/NaN|Infinity/);
    expect(svgChart({ title: 'x', losses: [4.8, Number.NaN], validation: null, bigram: 2.7 })).not.toMatch(
      /NaN|Infinity/,
    );
  });

  it('is small of a million losses, too, and shows how far they reach', () => {
    const chart = (list: readonly number[]) => svgChart({ title: 'x', losses: list, validation: 2.3, bigram: 2.7 });
    const many = Array.from({ length: 1e6 }, (_, i) => 2 + 3 / (1 + i / 1e4) + Math.sin(i) / 10);
    many[654_321] = 9.25;
    many[765_432] = 0.25;
    const svg = chart(many);
    expect(svg.length).toBeLessThan(60_000);
    expect(chart(many.slice(0, 1000)).length).toBeGreaterThan(15_000);
    expect(resample(many, 70)).toHaveLength(70);
    expect(rootOf(svg)).toBe('svg');
    expect(svg).not.toMatch(/NaN|Infinity/);
    // Axis from 0 to 10, of 316 pixels from 40 on.
    const heights = [...(svg.match(/points="([^"]+)"/)?.[1] ?? '').matchAll(/,([\d.]+)/g)].map(([, y]) => Number(y));
    expect(Math.min(...heights)).toBeCloseTo(40 + 31.6 * 0.75, 0);
    expect(Math.max(...heights)).toBeCloseTo(40 + 31.6 * 9.75, 0);
  });

  it('is drawn through first, least, greatest and last of each column', () => {
    expect(outline([5, 4, 3], 10)).toEqual([0, 1, 2]);
    expect(outline([5, 9, 1, 4, 7, 7, 7, 7], 2)).toEqual([0, 1, 2, 3, 4, 7]);
    expect(outline([Number.NaN, 2, Infinity, 1], 1)).toEqual([1, 3]);
    expect(outline([], 3)).toEqual([]);
    for (const length of [1, 7, 719, 720, 721, 1441, 5000]) {
      const values = Array.from({ length }, (_, i) => Math.sin(i * i));
      const drawn = outline(values, 720);
      expect(drawn).toEqual([...new Set(drawn)].sort((a, b) => a - b));
      expect(drawn.length).toBeLessThanOrEqual(4 * 720);
      for (const edge of [0, length - 1, values.indexOf(Math.max(...values)), values.indexOf(Math.min(...values))])
        expect(drawn).toContain(edge);
    }
  });

  it.each([
    ['of losses that are large', [1e30, 5, 3.4e38, 4]],
    ['of losses that are all one', new Array(50).fill(1e-30)],
    ['of losses below 0', [-5, -1e9]],
    ['without losses', []],
  ])('has a few ticks %s', (_, list) => {
    const svg = svgChart({ title: 'x', losses: list, validation: null, bigram: 2.7 });
    expect(svg).not.toMatch(/NaN|Infinity/);
    expect(svg.match(/stroke="#e6e6e6"/g)?.length).toBeLessThan(15);
  });
});

/** The name of the root; checks that the document is well-formed where the runtime has a parser. */
function rootOf(svg: string): string {
  if (typeof DOMParser === 'undefined') return svg.match(/^<(\w+)/)?.[1] ?? '';
  return new DOMParser().parseFromString(svg, 'image/svg+xml').documentElement.tagName;
}
