/** One dispatch of a profile. */
export interface DispatchTime {
  /** Kernel and shape of the result. */
  readonly label: string;
  /** Names the kernel: family/variant, and its stage where it has several. */
  readonly kernel: string;
  /** Ops that were fused into it. */
  readonly fused: readonly string[];
  /** Workgroups along x, y and z. */
  readonly workgroups: readonly [number, number, number];
  /** Bytes that are bound: no more than these are read or written, but for what is read again. */
  readonly bytes: number;
  /** Milliseconds since the first dispatch began; with `repetition`, as if there were no gaps. */
  readonly startMs: number;
  /** Milliseconds that it took. */
  readonly ms: number;
}

/** All dispatches of one kernel. */
export interface KernelTime {
  /** Names the kernel: family/variant, and its stage where it has several. */
  readonly kernel: string;
  /** Dispatches of it. */
  readonly calls: number;
  /** Milliseconds of all its dispatches together. */
  readonly ms: number;
  /** Share of the time in all kernels, from 0 to 1. */
  readonly share: number;
  /** Bound bytes over time, in GB/s. */
  readonly gbps: number;
}

/** The Trace Event format that chrome://tracing and ui.perfetto.dev open. */
export interface TraceFile {
  /** The unit in which a viewer shows times; those of the events are in microseconds. */
  readonly displayTimeUnit: 'ms';
  /** Names of the process and the thread, then an event for each dispatch. */
  readonly traceEvents: readonly Readonly<Record<string, unknown>>[];
}

/** Where the time of a function on the GPU went. */
export class ProfileReport {
  /** Vendor, architecture and description of the adapter, as far as the browser tells. */
  readonly adapter: string;
  /** How the times were taken: see `ProfileOptions.method`. */
  readonly method: 'timestamps' | 'repetition';
  /** Milliseconds from the call until the GPU was done, with what the host took. */
  readonly wallMs: number;
  /** The dispatches, in the order in which they ran. */
  readonly dispatches: readonly DispatchTime[];

  constructor(report: Pick<ProfileReport, 'adapter' | 'method' | 'wallMs' | 'dispatches'>) {
    this.adapter = report.adapter;
    this.method = report.method;
    this.wallMs = report.wallMs;
    this.dispatches = report.dispatches;
  }

  /** Milliseconds in kernels. */
  get gpuMs(): number {
    return this.dispatches.reduce((sum, { ms }) => sum + ms, 0);
  }

  /** The kernels, the most expensive first. */
  get kernels(): KernelTime[] {
    const groups = new Map<string, DispatchTime[]>();
    for (const each of this.dispatches) groups.set(each.kernel, [...(groups.get(each.kernel) ?? []), each]);
    const all = this.gpuMs;
    return [...groups]
      .map(([kernel, list]) => {
        const ms = list.reduce((sum, each) => sum + each.ms, 0);
        const bytes = list.reduce((sum, each) => sum + each.bytes, 0);
        return { kernel, calls: list.length, ms, share: all > 0 ? ms / all : 0, gbps: ms > 0 ? bytes / ms / 1e6 : 0 };
      })
      .sort((a, b) => b.ms - a.ms);
  }

  /** The kernels as lines of text. */
  table(): string {
    const head = ['kernel', 'calls', 'ms', 'share', 'GB/s'];
    const rows = this.kernels.map(({ kernel, calls, ms, share, gbps }) => [
      kernel,
      String(calls),
      ms.toFixed(3),
      `${(100 * share).toFixed(1)} %`,
      gbps.toFixed(2),
    ]);
    const total = ['all', String(this.dispatches.length), this.gpuMs.toFixed(3), '', ''];
    const lines = [head, ...rows, total];
    const widths = head.map((_, i) => Math.max(...lines.map((line) => (line[i] as string).length)));
    return lines
      .map((line) =>
        line
          .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
          .join('  '),
      )
      .map((line) => line.trimEnd())
      .join('\n');
  }

  /** The timeline for a viewer: write it to a file as JSON and open that in chrome://tracing or ui.perfetto.dev. */
  trace(): TraceFile {
    const place = { pid: 1, tid: 1 };
    const name = (event: string, text: string) => ({ name: event, ph: 'M', ...place, args: { name: text } });
    return {
      displayTimeUnit: 'ms',
      traceEvents: [
        name('process_name', `weft, ${this.adapter}`),
        name('thread_name', `kernels, by ${this.method}`),
        ...this.dispatches.map(({ label, kernel, fused, workgroups, bytes, startMs, ms }) => ({
          name: label,
          cat: kernel,
          ph: 'X',
          ...place,
          ts: 1000 * startMs,
          dur: 1000 * ms,
          args: { workgroups: workgroups.join(' × '), bytes, fused: fused.join(', ') },
        })),
      ],
    };
  }

  /** The adapter, the times as a whole, and `table()`. */
  toString(): string {
    return `${this.adapter}: ${this.wallMs.toFixed(1)} ms, of which ${this.gpuMs.toFixed(1)} ms in kernels (by ${this.method})\n${this.table()}`;
  }
}
