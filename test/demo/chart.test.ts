import { describe, expect, it } from 'vitest';
import { resample, svgChart } from '../../demo/chart.ts';

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
});

/** The name of the root; checks that the document is well-formed where the runtime has a parser. */
function rootOf(svg: string): string {
  if (typeof DOMParser === 'undefined') return svg.match(/^<(\w+)/)?.[1] ?? '';
  return new DOMParser().parseFromString(svg, 'image/svg+xml').documentElement.tagName;
}
