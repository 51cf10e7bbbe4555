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

/**
 * The curve as an SVG document: every loss in grey, their running mean, the validation loss and the bigram model's. Its size
 * does not grow with the number of losses: a column of pixels shows how far those in it reach.
 */
export function svgChart({ title, losses, validation, bigram }: LossCurve): string {
  const levels = [bigram, ...(validation === null ? [] : [validation])];
  const [least, greatest] = boundsOf(losses, boundsOf(levels));
  const step = tickStep(greatest - least);
  const low = Math.floor(least / step) * step;
  const high = Math.max(low + step, Math.ceil(greatest / step) * step);
  const x = (index: number) => left + ((width - left - right) * index) / Math.max(1, losses.length - 1);
  const y = (loss: number) => top + ((height - top - bottom) * (high - loss)) / (high - low);
  const name = visible(title).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  const line = (points: readonly (readonly [index: number, loss: number])[], style: string) =>
    `<polyline fill="none" ${style} points="${points.flatMap(([i, loss]) => (Number.isFinite(loss) ? `${x(i).toFixed(1)},${y(loss).toFixed(1)}` : [])).join(' ')}"/>`;
  const level = (loss: number, name: string, colour: string) =>
    `<path d="M${left} ${y(loss).toFixed(1)}H${width - right}" stroke="${colour}" stroke-dasharray="5 4"/>` +
    `<text x="${width - right}" y="${(y(loss) - 5).toFixed(1)}" text-anchor="end" fill="${colour}">${name} ${figure(loss, 3)}</text>`;
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
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
        `<path d="M${left} ${y(loss).toFixed(1)}H${width - right}" stroke="#e6e6e6"/><text x="${left - 8}" y="${(y(loss) + 4).toFixed(1)}" text-anchor="end" fill="#666">${figure(loss, 1)}</text>`,
    ),
    ...steps.map(
      (step) =>
        // The last may have many digits, and little room behind.
        `<text x="${x(step - 1).toFixed(1)}" y="${height - bottom + 18}" text-anchor="${step >= 1e4 && step === losses.length ? 'end' : 'middle'}" fill="#666">${step}</text>`,
    ),
    `<text x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle" fill="#666">training step</text>`,
    `<text x="16" y="${middle}" transform="rotate(-90 16 ${middle})" text-anchor="middle" fill="#666">loss, nats per character</text>`,
    line(
      outline(losses, width).map((i) => [i, losses[i] as number]),
      'stroke="#b8c4d6" stroke-width="1"',
    ),
    line(runningMeans(losses, Math.max(1, Math.round(losses.length / 50)), width), 'stroke="#1f5fbf" stroke-width="2"'),
    level(bigram, 'bigram counts', '#b3541e'),
    ...(validation === null ? [] : [level(validation, 'validation', '#1a7f4b')]),
    '</svg>',
    '',
  ].join('\n');
}

/** The least and the greatest of the finite values, and of `within`. */
function boundsOf(values: readonly number[], within = [Infinity, -Infinity] as const): readonly [number, number] {
  let [least, greatest]: readonly [number, number] = within;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return [least, greatest];
}

/** The distance of ticks over such a range: half a nat, or more where that would be too many. */
function tickStep(range: number): number {
  let step = 0.5;
  // 0.5, 1, 2, 5, 10, 20, …
  for (let i = 0; range / step > 12; i++) step *= [2, 2, 2.5][i % 3] as number;
  return step;
}

/** Large numbers in few digits. */
const figure = (value: number, digits: number) =>
  Math.abs(value) < 1e6 ? value.toFixed(digits) : value.toExponential(1);

/**
 * Which of the values to draw where they share `columns`: first, least, greatest and last of each column, in order. What is
 * no number is left out.
 */
export function outline(values: readonly number[], columns: number): number[] {
  const drawn: number[] = [];
  const perColumn = Math.max(1, values.length / columns);
  for (let begin = 0; begin < values.length; ) {
    const end = Math.max(
      begin + 1,
      Math.min(values.length, Math.round((Math.floor(begin / perColumn) + 1) * perColumn)),
    );
    let chosen: { first: number; least: number; greatest: number; last: number } | null = null;
    for (let i = begin; i < end; i++) {
      const value = values[i] as number;
      if (!Number.isFinite(value)) continue;
      chosen ??= { first: i, least: i, greatest: i, last: i };
      if (value < (values[chosen.least] as number)) chosen.least = i;
      if (value > (values[chosen.greatest] as number)) chosen.greatest = i;
      chosen.last = i;
    }
    if (chosen) drawn.push(...new Set(Object.values(chosen).sort((a, b) => a - b)));
    begin = end;
  }
  return drawn;
}

/** At most `count` places in the values, from the first to the last, with the mean of the value there and those up to `reach` before it. */
function runningMeans(values: readonly number[], reach: number, count: number): (readonly [number, number])[] {
  const places = Math.min(count, values.length);
  return Array.from({ length: places }, (_, k) => {
    const i = Math.round((k * (values.length - 1)) / Math.max(1, places - 1));
    return [i, meanOf(values.slice(Math.max(0, i - reach), i + 1))] as const;
  });
}
