import { visible } from './console.ts';

/** Losses by step, and the lines to hold them against. */
export interface LossCurve {
  readonly title: string;
  readonly losses: readonly number[];
  readonly validation: number | null;
  readonly bigram: number;
}

/** Means of equal shares of the values, at most `count`. */
export function resample(values: readonly number[], count: number): number[] {
  if (values.length <= count) return [...values];
  return Array.from({ length: count }, (_, i) => {
    const from = Math.floor((i * values.length) / count);
    return meanOf(values.slice(from, Math.max(from + 1, Math.floor(((i + 1) * values.length) / count))));
  });
}

export const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

const [width, height, left, top, right, bottom] = [720, 400, 70, 40, 16, 44];

/** The curve as an SVG document: every loss in grey, their running mean, the validation loss and the bigram model's. */
export function svgChart({ title, losses, validation, bigram }: LossCurve): string {
  const values = [...losses, bigram, ...(validation === null ? [] : [validation])].filter(Number.isFinite);
  const low = Math.floor(Math.min(...values) * 2) / 2;
  const high = Math.max(low + 0.5, Math.ceil(Math.max(...values) * 2) / 2);
  const x = (step: number) => left + ((width - left - right) * (step - 1)) / Math.max(1, losses.length - 1);
  const y = (loss: number) => top + ((height - top - bottom) * (high - loss)) / (high - low);
  const name = visible(title).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  const line = (points: readonly number[], style: string) =>
    `<polyline fill="none" ${style} points="${points.flatMap((loss, i) => (Number.isFinite(loss) ? `${x(i + 1).toFixed(1)},${y(loss).toFixed(1)}` : [])).join(' ')}"/>`;
  const level = (loss: number, name: string, colour: string) =>
    `<path d="M${left} ${y(loss).toFixed(1)}H${width - right}" stroke="${colour}" stroke-dasharray="5 4"/>` +
    `<text x="${width - right}" y="${(y(loss) - 5).toFixed(1)}" text-anchor="end" fill="${colour}">${name} ${loss.toFixed(3)}</text>`;
  const ticks = Array.from({ length: Math.round((high - low) * 2) + 1 }, (_, i) => low + i / 2);
  const middle = (top + height - bottom) / 2;
  const steps = [
    ...new Set(
      [1, 0.25, 0.5, 0.75, 1].map((share, i) => (i === 0 ? 1 : Math.max(1, Math.round(share * losses.length)))),
    ),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${name}</title>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="22" font-size="15" fill="#222">${name}</text>`,
    ...ticks.map(
      (loss) =>
        `<path d="M${left} ${y(loss).toFixed(1)}H${width - right}" stroke="#e6e6e6"/><text x="${left - 8}" y="${(y(loss) + 4).toFixed(1)}" text-anchor="end" fill="#666">${loss.toFixed(1)}</text>`,
    ),
    ...steps.map(
      (step) =>
        `<text x="${x(step).toFixed(1)}" y="${height - bottom + 18}" text-anchor="middle" fill="#666">${step}</text>`,
    ),
    `<text x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle" fill="#666">training step</text>`,
    `<text x="16" y="${middle}" transform="rotate(-90 16 ${middle})" text-anchor="middle" fill="#666">loss, nats per character</text>`,
    line(losses, 'stroke="#b8c4d6" stroke-width="1"'),
    line(runningMean(losses, Math.max(1, Math.round(losses.length / 50))), 'stroke="#1f5fbf" stroke-width="2"'),
    level(bigram, 'bigram counts', '#b3541e'),
    ...(validation === null ? [] : [level(validation, 'validation', '#1a7f4b')]),
    '</svg>',
    '',
  ].join('\n');
}

/** Mean of each value and those up to `reach` before it. */
function runningMean(values: readonly number[], reach: number): number[] {
  return values.map((_, i) => meanOf(values.slice(Math.max(0, i - reach), i + 1)));
}
