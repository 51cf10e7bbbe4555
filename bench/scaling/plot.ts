import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { fit, fitted, pointsOf } from './fit.ts';
import type { Point } from './point.ts';
import { base, type Sweep } from './sweeps.ts';

const names = { gpt: 'GPT', lstm: 'LSTM' } as const;
const [width, height, gap] = [420, 300, 36];

/** All sweeps as one SVG document: a row for each model, a plot for each size that grows; both axes are logarithmic. */
export function plots(sweeps: readonly Sweep[], points: readonly Point[], subtitle: string): string {
  const { document } = parseHTML('<html><body></body></html>');
  const parts = (['gpt', 'lstm'] as const).flatMap((model, row) =>
    sweeps
      .filter((sweep) => sweep.model === model)
      .map((sweep, column) => {
        const svg = plot(sweep, pointsOf(sweep, points), document).outerHTML.replace(
          'xmlns="http://www.w3.org/2000/svg"',
          '',
        );
        return `<g transform="translate(${column * (width + gap)}, ${60 + row * (height + gap)})">${svg}</g>`;
      }),
  );
  const all = [4 * (width + gap), 60 + 2 * (height + gap)];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${all[0]} ${all[1]}" font-family="system-ui, sans-serif" fill="#222">
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="26" font-size="18">Time of a training step: measured (dots: median; bars: 10th to 90th percentile), and by a fixed cost and the operations (line)</text>
<text x="12" y="46" font-size="13" fill="#666">${subtitle}</text>
${parts.join('\n')}
</svg>
`;
}

function plot({ model, of }: Sweep, points: readonly Point[], document: Document): SVGElement {
  const others = Object.entries(base[model]).filter(([name]) => name !== of);
  const line = fit({ model, of }, points);
  const theory = points.map((point) => ({ [of]: point[of], ms: fitted(line, point) }));
  return Plot.plot({
    document,
    width,
    height,
    marginLeft: 52,
    marginBottom: 40,
    x: {
      type: 'log',
      base: 2,
      label: `${of} (${names[model]}; ${others.map(([name, value]) => `${name} ${value}`).join(', ')})`,
      ticks: points.map((point) => point[of]),
      tickFormat: (value: number) => String(value),
    },
    y: { type: 'log', label: 'ms', grid: true },
    marks: [
      Plot.line(theory, { x: of, y: 'ms', stroke: '#aaa', strokeWidth: 1.5 }),
      Plot.ruleX(points, { x: of, y1: 'p10Ms', y2: 'p90Ms', stroke: '#6d3bd8', strokeWidth: 2 }),
      Plot.dot(points, { x: of, y: 'medianMs', fill: '#6d3bd8', r: 4 }),
      Plot.text([`${line.fixedMs.toFixed(1)} ms + operations at ${line.gflops.toFixed(1)} GFLOP/s`], {
        frameAnchor: 'bottom-right',
        dy: -4,
        fill: '#666',
      }),
    ],
  }) as SVGElement;
}
