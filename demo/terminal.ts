import process from 'node:process';
import { plot } from 'asciichart';
import cliProgress from 'cli-progress';
import { type LossCurve, resample } from './chart.ts';
import { visible } from './console.ts';
import { duration } from './duration.ts';
import type { Progress } from './host.ts';
import { columnsOf, wrap } from './wrap.ts';

/** Seconds between two lines of progress where the output is a file or a pipe. */
const secondsBetweenLines = 5;

/** Prints text, and progress as a bar on a terminal or as a line now and then elsewhere. */
export class Terminal {
  readonly #stream: NodeJS.WriteStream;
  #bar: cliProgress.SingleBar | null = null;
  #lastLine = { model: '', time: 0 };

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  get columns(): number {
    return columnsOf(this.#stream, process.env) ?? 80;
  }

  print(text = ''): void {
    this.#endBar();
    this.#write(text);
  }

  progress(progress: Progress): void {
    if (this.#stream.isTTY) this.#drawBar(progress);
    else this.#printLine(progress);
  }

  #drawBar(progress: Progress): void {
    const { step, steps } = progress;
    if (!this.#bar) {
      this.#bar = new cliProgress.SingleBar({
        stream: this.#stream,
        format: '  {bar} {value}/{total}  {details}',
        barCompleteChar: '█',
        barIncompleteChar: '░',
        barsize: Math.max(10, Math.min(30, this.columns - 70)),
        hideCursor: true,
        linewrap: false,
        // The job handles Ctrl-C.
        gracefulExit: false,
      });
      this.#bar.start(steps, step, { details: describe(progress) });
    } else this.#bar.update(step, { details: describe(progress) });
    if (step >= steps) this.#endBar();
  }

  #write(text: string): void {
    this.#stream.write(`${wrap(visible(text), this.columns)}\n`);
  }

  #endBar(): void {
    this.#bar?.stop();
    this.#bar = null;
  }

  #printLine(progress: Progress): void {
    const { model, step, steps } = progress;
    const now = performance.now();
    const due = model !== this.#lastLine.model || now - this.#lastLine.time >= secondsBetweenLines * 1000;
    if (!due && step < steps) return;
    this.#lastLine = { model, time: now };
    this.#write(`  step ${String(step).padStart(String(steps).length)}/${steps}  ${describe(progress)}`);
  }
}

/** The curve in characters, `columns` wide, with the names of its axes. */
export function terminalChart({ losses }: LossCurve, columns = 80): string {
  const axis = 10;
  const width = Math.max(20, Math.min(100, columns) - axis);
  const chart = plot(resample(losses, width), { height: 10, format: (value) => value.toFixed(2).padStart(axis - 3) });
  const [first, last] = ['step 1', String(losses.length)];
  const steps = `${first}${last.padStart(Math.max(last.length + 1, Math.min(width, losses.length) - first.length))}`;
  return `  training loss, nats per character\n${chart}\n${' '.repeat(axis - 1)}${steps}`;
}

/** A terminal on standard output, or on standard error where that is to stay free for JSON. */
export const terminal = (json: boolean) => new Terminal(json ? process.stderr : process.stdout);

function describe({ loss, tokensPerSecond, secondsLeft }: Progress): string {
  const speed = Number.isFinite(tokensPerSecond) ? `${Math.round(tokensPerSecond).toLocaleString('en')} tokens/s` : '';
  return [`loss ${loss.toFixed(3)}`, speed, Number.isFinite(secondsLeft) ? `${duration(secondsLeft)} left` : '']
    .filter(Boolean)
    .join('  ');
}
