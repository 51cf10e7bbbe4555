import {
  BarController,
  BarElement,
  CategoryScale,
  Chart,
  type ChartConfiguration,
  Legend,
  LinearScale,
  LogarithmicScale,
  Tooltip,
} from 'chart.js';
import { digits, type Row } from '../rows.ts';
import type { Standing } from './summary.ts';

Chart.register(BarController, BarElement, CategoryScale, LinearScale, LogarithmicScale, Legend, Tooltip);

type Unit = { readonly label: string; readonly of: (row: Row) => number | null };

/** Higher is better, but for whole steps, of which one wants the time. */
function unitOf(rows: readonly Row[]): Unit {
  const [first] = rows as [Row];
  if (first.suite === 'training steps') return { label: 'ms a step (less is better)', of: ({ medianMs }) => medianMs };
  const arithmetic = /matmul|attention|lstm/.test(first.name);
  return arithmetic
    ? { label: 'GFLOP/s (more is better)', of: ({ gflops }) => gflops }
    : { label: 'GB/s (more is better)', of: ({ gbps }) => gbps };
}

/** The contenders of one family over its sizes. */
export function familyChart(rows: readonly Row[]): ChartConfiguration<'bar'> {
  const { label, of } = unitOf(rows);
  const shapes = [...new Set(rows.map(({ shape }) => shape))];
  const names = [...new Set(rows.map(({ contender }) => contender))];
  const at = (name: string, shape: string) => {
    const row = rows.find((each) => each.contender === name && each.shape === shape);
    return row ? of(row) : null;
  };
  return {
    type: 'bar',
    data: {
      labels: shapes,
      datasets: names.map((name) => ({
        label: name,
        data: shapes.map((shape) => at(name, shape)),
        backgroundColor: colourOf(name, names),
        borderRadius: 3,
        maxBarThickness: 42,
      })),
    },
    options: {
      ...common(),
      scales: {
        x: { grid: { display: false }, ticks: { color: colour('--soft') } },
        y: {
          beginAtZero: true,
          title: { display: true, text: label, color: colour('--soft') },
          ticks: { color: colour('--soft') },
          grid: { color: colour('--line') },
        },
      },
      plugins: {
        legend: { position: 'bottom', labels: { color: colour('--text'), boxWidth: 12 } },
        tooltip: { callbacks: { label: ({ dataset, raw }) => `${dataset.label}: ${digits(raw as number)}` } },
      },
    },
  };
}

/** How many times as fast as the best peer, case by case, on a scale where twice and half are as long. */
export function standingsChart(list: readonly Standing[]): ChartConfiguration<'bar'> {
  const ratios = list.map(({ ratio }) => ratio);
  // Whole powers of two that hold all bars, and at least one that says what the scale is.
  const last = 2 ** Math.max(1, Math.ceil(Math.log2(Math.max(...ratios))));
  const first = 2 ** Math.min(0, Math.floor(Math.log2(Math.min(...ratios))));
  const marks = Array.from({ length: Math.log2(last / first) + 1 }, (_, i) => first * 2 ** i);
  return {
    type: 'bar',
    data: {
      labels: list.map(({ name, shape }) => `${name} ${shape}`),
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
          title: { display: true, text: '× as fast as the best peer', color: colour('--soft') },
          ticks: { color: colour('--soft'), callback: (value) => `${value} ×` },
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
  };
}

const common = () => ({ responsive: true, maintainAspectRatio: false, animation: false }) as const;

/** A value of the style sheet, which knows whether it is dark. */
function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** The variants of weft are paler than weft, each a bit more. */
function colourOf(name: string, names: readonly string[]): string {
  if (!name.startsWith('weft:')) return colour(`--${name}`);
  const variants = names.filter((each) => each.startsWith('weft:'));
  const share = 70 - (50 * variants.indexOf(name)) / variants.length;
  return `color-mix(in srgb, ${colour('--weft')} ${share}%, ${colour('--page')})`;
}

/** Draws on a canvas, in place of what it showed, once the canvas stands in the page. */
export function drawChart(canvas: HTMLCanvasElement, configuration: ChartConfiguration<'bar'>): void {
  requestAnimationFrame(() => {
    Chart.getChart(canvas)?.destroy();
    if (canvas.isConnected) new Chart(canvas, configuration);
  });
}
