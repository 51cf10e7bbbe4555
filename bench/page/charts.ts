import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  type ChartConfiguration,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  type Plugin,
  PointElement,
  Tooltip,
} from 'chart.js';
import { bytes, digits, type Row } from '../rows.ts';
import type { Standing } from './summary.ts';

Chart.register(
  BarController,
  BarElement,
  CategoryScale,
  LinearScale,
  LineController,
  LineElement,
  LogarithmicScale,
  PointElement,
  Legend,
  Tooltip,
);

/** A chart to be drawn: what it says for those who can't see it, and how many pixels high it is. */
export interface Drawing {
  readonly label: string;
  readonly height: number;
  readonly configuration: ChartConfiguration<'bar' | 'line'>;
}

type Unit = { readonly label: string; readonly of: (row: Row) => number | null };

/** Higher is better, but for whole steps, of which one wants the time. */
function unitOf(rows: readonly Row[]): Unit {
  const [first] = rows as [Row];
  if (first.suite === 'training steps') return { label: 'ms a step (less is better)', of: ({ medianMs }) => medianMs };
  const arithmetic = /matmul|attention|lstm|gru|rnn/.test(first.name);
  return arithmetic
    ? { label: 'GFLOP/s (more is better)', of: ({ gflops }) => gflops }
    : { label: 'GB/s (more is better)', of: ({ gbps }) => gbps };
}

/** The contenders of one family over its sizes, each in the order in which they first finished; null where none did. */
export function familyChart(rows: readonly Row[]): Drawing | null {
  const done = rows.filter(({ medianMs }) => medianMs !== null);
  if (done.length === 0) return null;
  const { label, of } = unitOf(done);
  const shapes = [...new Set(done.map(({ shape }) => shape))];
  const names = [...new Set(done.map(({ contender }) => contender))];
  const at = (name: string, shape: string) => {
    const row = done.find((each) => each.contender === name && each.shape === shape);
    return row ? of(row) : null;
  };
  const thickness = names.length > 6 ? 8 : 13;
  return {
    label: `${done[0]?.name}: ${label}, by size and contender`,
    height:
      92 + 26 * Math.ceil(names.length / (isNarrow() ? 2 : 5)) + shapes.length * (14 + names.length * thickness * 1.12),
    configuration: {
      type: 'bar',
      data: {
        labels: shapes.map(inLines),
        datasets: names.map((name) => ({
          label: name,
          data: shapes.map((shape) => at(name, shape)),
          backgroundColor: colourOf(name, names),
          borderRadius: 3,
          barThickness: thickness,
        })),
      },
      options: {
        ...common(),
        indexAxis: 'y',
        scales: {
          x: {
            beginAtZero: true,
            title: titled(label),
            ticks: { color: colour('--soft') },
            grid: { color: colour('--line') },
          },
          y: { grid: { display: false }, ticks: { color: colour('--text'), autoSkip: false } },
        },
        plugins: {
          legend: legend(),
          tooltip: { callbacks: { label: ({ dataset, raw }) => `${dataset.label}: ${digits(raw as number)}` } },
        },
      },
    },
  };
}

/** Bytes over the length of a sequence; both axes are logarithmic, so that a slope tells how they grow. */
export function memoryChart(rows: readonly Row[]): Drawing {
  const lengthOf = ({ shape }: Row) => Number(/T(\d+)/.exec(shape)?.[1]);
  const names = [...new Set(rows.map(({ contender }) => contender))];
  return {
    label: `${rows[0]?.name}: bytes of intermediate values over the length of the sequence`,
    height: 300,
    configuration: {
      type: 'line',
      data: {
        datasets: names.map((name) => {
          const colour = colourOf(name, names);
          const own = rows.filter(({ contender }) => contender === name);
          return {
            label: name === 'unfused' ? 'with T×T weights, by computation' : `${name}, planned`,
            data: own.map((row) => ({ x: lengthOf(row), y: row.planBytes ?? 0 })),
            borderColor: colour,
            backgroundColor: colour,
            borderDash: name === 'unfused' ? [5, 4] : [],
            pointRadius: 4,
          };
        }),
      },
      options: {
        ...common(),
        scales: {
          x: {
            type: 'logarithmic',
            title: titled('T'),
            grid: { display: false },
            ticks: { color: colour('--soft'), callback: String },
            afterBuildTicks: (axis) => {
              axis.ticks = [...new Set(rows.map(lengthOf))].map((value) => ({ value }));
            },
          },
          y: {
            type: 'logarithmic',
            grid: { color: colour('--line') },
            ticks: {
              color: colour('--soft'),
              callback: (value) => (Number.isInteger(Math.log10(Number(value))) ? bytes(Number(value)) : null),
            },
          },
        },
        plugins: {
          legend: legend(),
          tooltip: { callbacks: { label: ({ dataset, parsed }) => `${dataset.label}: ${bytes(parsed.y ?? 0)}` } },
        },
      },
    },
  };
}

/** How many times as fast as the best peer, case by case, on a scale where twice and half are as long. */
export function standingsChart(list: readonly Standing[]): Drawing {
  const ratios = list.map(({ ratio }) => ratio);
  // Whole powers of two that hold all bars, and at least one that says what the scale is.
  const last = 2 ** Math.max(1, Math.ceil(Math.log2(Math.max(...ratios))));
  const first = 2 ** Math.min(0, Math.floor(Math.log2(Math.min(...ratios))));
  const marks = Array.from({ length: Math.log2(last / first) + 1 }, (_, i) => first * 2 ** i);
  const labels = list.map(({ name, shape }) => (isNarrow() ? [name, shape].flatMap(inLines) : [`${name}  ${shape}`]));
  return {
    label: `weft against the best peer: ${list.map(({ name, shape, ratio }) => `${name} ${shape} ${digits(ratio)} ×`).join(', ')}`,
    height: 70 + (12 + 14 * Math.max(...labels.map(({ length }) => length))) * list.length,
    configuration: {
      type: 'bar',
      data: {
        labels,
        datasets: [
          {
            label: '× as fast as the best peer',
            // Bars grow from 1.
            data: list.map(({ ratio }) => [1, ratio] as [number, number]),
            backgroundColor: list.map(({ ratio }) => colour(ratio >= 1 ? '--weft' : '--behind')),
            borderRadius: 3,
            maxBarThickness: 18,
          },
        ],
      },
      options: {
        ...common(),
        indexAxis: 'y',
        scales: {
          x: {
            type: 'logarithmic',
            min: first,
            max: last,
            ticks: { color: colour('--soft'), maxRotation: 0, callback: (value) => `${value} ×` },
            afterBuildTicks: (axis) => {
              axis.ticks = marks.map((value) => ({ value }));
            },
            grid: { color: colour('--line') },
          },
          y: { grid: { display: false }, ticks: { color: colour('--text'), autoSkip: false } },
        },
        plugins: {
          legend: { display: false },
          tooltip: {
            callbacks: {
              label: ({ dataIndex }) => {
                const { ratio, peer } = list[dataIndex] as Standing;
                return `${digits(ratio)} × ${peer}`;
              },
            },
          },
        },
      },
      plugins: [figures(list)],
    },
  };
}

/** Writes the ratio at the end of each bar, inside of it where there is no room behind. */
const figures = (list: readonly Standing[]): Plugin => ({
  id: 'figures',
  afterDatasetsDraw(chart) {
    const { ctx, chartArea } = chart;
    ctx.save();
    ctx.font = `600 ${Chart.defaults.font.size}px ${Chart.defaults.font.family}`;
    ctx.textBaseline = 'middle';
    for (const [i, bar] of chart.getDatasetMeta(0).data.entries()) {
      const { ratio } = list[i] as Standing;
      const text = `${digits(ratio)} ×`;
      const right = Math.max(bar.x, (bar as BarElement).getProps(['base']).base as number);
      const fits = right + 8 + ctx.measureText(text).width < chartArea.right;
      ctx.fillStyle = colour(fits ? '--text' : '--card');
      ctx.textAlign = fits ? 'left' : 'right';
      ctx.fillText(text, fits ? right + 6 : right - 6, bar.y);
    }
    ctx.restore();
  },
});

const isNarrow = () => innerWidth <= 600;
const titled = (text: string) => ({ display: true, text, color: colour('--soft') }) as const;
const legend = () => ({ position: 'bottom', labels: { color: colour('--text'), boxWidth: 12 } }) as const;

/** A label of several parts in lines that fit beside a chart on a phone. */
function inLines(text: string): string[] {
  const most = 21;
  if (!isNarrow() || text.length <= most) return [text];
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < most) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

const common = () => ({ responsive: true, maintainAspectRatio: false, animation: false }) as const;

/** A value of the style sheet, which knows whether it is dark. */
function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The variants of weft are paler than weft, each a bit more. */
function colourOf(name: string, names: readonly string[]): string {
  if (!name.startsWith('weft:')) return colour(`--${name}`) || colour('--soft');
  const variants = names.filter((each) => each.startsWith('weft:'));
  const share = 70 - (50 * variants.indexOf(name)) / variants.length;
  return `color-mix(in srgb, ${colour('--weft')} ${share}%, ${colour('--page')})`;
}

/** Draws on a canvas, in place of what it showed, once the canvas stands in the page; in the page's letters. */
export function drawChart(canvas: HTMLCanvasElement, configuration: Drawing['configuration']): void {
  requestAnimationFrame(() => {
    Chart.getChart(canvas)?.destroy();
    if (!canvas.isConnected) return;
    const { fontFamily, fontSize } = getComputedStyle(document.body);
    Object.assign(Chart.defaults.font, { family: fontFamily, size: 0.8 * Number.parseFloat(fontSize) });
    new Chart(canvas, configuration);
  });
}
