import type { Counts } from '../demo/counts.ts';
import { brief } from '../src/core/options.ts';
import { type Limits, measureLimits } from './limits.ts';
import { check, count, idle, measure, type Prepared, type Settings, spreadOf, type Timing } from './measure.ts';
import type { Library, PeerModule, PeerName, Work } from './peers/library.ts';
import { bytes, type Row } from './rows.ts';
import { type Case, cases } from './suites/index.ts';
import { counted, openWeft, variantsOf, type Weft } from './weft.ts';

/** What is to be measured. */
export interface Options {
  /** Patterns; a contender takes part where one of them matches `name shape contender`. Empty: everything but variants. */
  readonly only: readonly string[];
  readonly quick: boolean;
  /** Measures every variant of weft's kernels too, and not just where a pattern names them. */
  readonly variants: boolean;
}

/** Where a run is, for those who watch it. */
export interface Progress {
  /** Cases done and in all. */
  readonly done: number;
  readonly all: number;
  /** What is under way. */
  readonly now: string;
}

/** What a run needs from where it runs. */
export interface Host {
  readonly runtime: string;
  /** The peers that this runtime can load, and how. */
  readonly peers: Readonly<Partial<Record<PeerName, () => Promise<PeerModule>>>>;
  /** True once the user has asked the run to end. */
  readonly stopped: boolean;
  progress(progress: Progress): void;
  rows(rows: readonly Row[]): void;
  message(text: string): void;
}

const settings: Settings = { rounds: 15, sampleMs: 60, slowMs: 1500 };
const quickSettings: Settings = { rounds: 5, sampleMs: 30, slowMs: 500 };

/** Measures everything that the options ask for, case by case, and gives all rows. */
export async function runBench(options: Options, host: Host): Promise<Row[]> {
  const { wanted, chosen } = select(options, Object.keys(host.peers));
  const weft = await openWeft();
  const libraries = await openPeers(host, (name) => chosen.some((each) => wanted(each, name)));
  host.progress({ done: 0, all: chosen.length, now: 'the device’s limits' });
  const limits = await measureLimits(
    weft.gpu,
    options.quick ? { repeats: 3, leastMs: 15 } : { repeats: 9, leastMs: 60 },
  );
  const common = { dtype: 'f32', runtime: host.runtime, adapter: weft.adapter } as const;
  const complete = ({ suite, name, shape, contender, ...figures }: Measured): Row => ({
    suite,
    name,
    shape,
    ...common,
    contender,
    ...figures,
  });
  const all = (await limitRows(limits)).map(complete);
  host.rows(all);
  for (const [done, each] of chosen.entries()) {
    if (host.stopped) break;
    const label = `${each.name} ${each.shape}`;
    const say = (now: string) => host.progress({ done, all: chosen.length, now: `${label}: ${now}` });
    const contenders = { weft, libraries, wanted: (name: string) => wanted(each, name) };
    const measured =
      each.suite === 'memory'
        ? await planCase(each, weft)
        : await runCase(each, contenders, options.quick ? quickSettings : settings, limits, host, say);
    const rows = measured.map(complete);
    all.push(...rows);
    host.rows(rows);
    await breathe();
  }
  return all;
}

type Measured = Omit<Row, 'dtype' | 'runtime' | 'adapter'>;
type Libraries = ReadonlyMap<PeerName, Library | string>;

/** What the options ask for: which cases, and which contenders of each. Throws where that is nothing. */
export function select({ only, quick, variants }: Options, peers: readonly string[]) {
  const patterns = only.map(patternOf);
  const named = only.some((pattern) => pattern.includes('weft:'));
  const wanted = (each: Case, name: string): boolean => {
    if (name.startsWith('weft:') && name !== counted && !variants && !named) return false;
    return patterns.length === 0 || patterns.some((pattern) => pattern.test(`${each.name} ${each.shape} ${name}`));
  };
  const names = (each: Case) => (each.suite === 'memory' ? ['weft'] : ['weft', ...peers, ...variantsOf(each.name)]);
  // Patterns say which sizes; without them, a quick run takes a few.
  const few = quick && only.length === 0;
  const chosen = cases.filter((each) => (each.quick || !few) && names(each).some((name) => wanted(each, name)));
  if (chosen.length === 0)
    throw new Error(
      `--only: nothing matches ${brief(only.map((pattern) => `'${pattern}'`).join(' or '), 200)}; a pattern is looked for in ` +
        `'name shape contender', such as 'matmul 512x512x512 NN weft'; contenders here are ${['weft', ...peers].join(', ')} (--help lists all names)`,
    );
  return { wanted, chosen };
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text, 'i');
  } catch (error) {
    throw new Error(
      `--only: ${brief(reason(error), 200)}; write a backslash before ( ) [ ] + * . where the character itself is meant`,
    );
  }
}

/** Opens the peers that are wanted. What can't be opened becomes the reason, for its rows. */
async function openPeers(host: Host, wanted: (name: PeerName) => boolean): Promise<Libraries> {
  const libraries = new Map<PeerName, Library | string>();
  for (const [name, load] of Object.entries(host.peers) as [PeerName, () => Promise<PeerModule>][]) {
    if (!wanted(name)) continue;
    try {
      libraries.set(name, await (await load()).open());
    } catch (error) {
      libraries.set(name, reason(error));
      host.message(`${name} can't be measured: ${reason(error)}`);
    }
  }
  return libraries;
}

/** Only how much memory a plan of weft's takes, beside what one without fusion would have to take. */
async function planCase(each: Case, weft: Weft): Promise<Measured[]> {
  const work = await weft.prepare(each.problem());
  const { planBytes = 0 } = work ?? {};
  await work?.dispose();
  const row = { ...blank, ...identity(each) };
  return [
    {
      ...row,
      contender: 'weft',
      planBytes,
      note: `planned; ${bytes(planBytes + (each.bytes ?? 0))} with inputs and results`,
    },
    {
      ...row,
      contender: 'unfused',
      planBytes: each.unfusedBytes ?? null,
      note: `computed: ${each.name === 'attention forward' ? 'T×T weights' : 'T×T weights and their gradient'}`,
    },
  ];
}

const identity = ({ suite, name, shape }: Case) => ({ suite, name, shape });

async function runCase(
  each: Case,
  { weft, libraries, wanted }: { weft: Weft; libraries: Libraries; wanted: (name: string) => boolean },
  settings: Settings,
  limits: Limits,
  host: Host,
  say: (now: string) => void,
): Promise<Measured[]> {
  const problem = each.problem();
  const makers: { name: string; gpu: GPUDevice; make: () => Promise<Work | null> | null }[] = [];
  if (wanted('weft')) makers.push({ name: 'weft', gpu: weft.gpu, make: () => weft.prepare(problem) });
  for (const name of variantsOf(problem.kind)) {
    if (wanted(name)) makers.push({ name, gpu: weft.gpu, make: () => weft.prepareVariant(problem, name) });
  }
  const rows: Measured[] = [];
  const fail = (contender: string, note: string) => rows.push({ ...blank, ...identity(each), contender, note });
  for (const [name, library] of libraries) {
    if (!wanted(name)) continue;
    if (typeof library === 'string') fail(name, library);
    else makers.push({ name, gpu: library.gpu, make: () => library.prepare(problem) });
  }

  say('reference');
  const expected = each.expected(problem);
  const ready: (Prepared & { error: number; calls: Calls })[] = [];
  for (const { name, gpu, make } of makers) {
    if (host.stopped) break;
    say(`${name} is compiled and checked`);
    await breathe();
    let work: Work | null = null;
    try {
      work = await make();
      if (!work) continue;
      for (let i = 1; i < (each.runsToCheck ?? 1); i++) await work.run();
      await idle(gpu);
      const start = performance.now();
      await work.run();
      work.flush?.();
      await idle(gpu);
      const ms = performance.now() - start;
      const error = await check(work, expected);
      if (!(error <= each.tolerance))
        throw new Error(`wrong by ${error.toExponential(1)}, allowed ${each.tolerance.toExponential(1)}`);
      // Once more, for the buffers and pipelines that a second run makes; what takes seconds has no time for it.
      if (ms < settings.slowMs) {
        await work.run();
        work.flush?.();
        await idle(gpu);
      }
      const prepared = { name, gpu, work };
      const { dispatches, submits, buffers, bufferBytes } = await count(prepared);
      ready.push({ ...prepared, error, calls: { dispatches, submits, buffers, bufferBytes } });
    } catch (error) {
      fail(name, reason(error));
      await work?.dispose();
    }
  }

  say('copies');
  const bounded = each.bound === 'bandwidth' && each.bytes !== null && ready.length > 0;
  const copies = bounded ? await limits.copies(each.bytes) : null;
  const yardstick = copies && { name: 'copies', gpu: weft.gpu, work: copies, yardstick: true };
  const timings = host.stopped
    ? []
    : await measure(yardstick ? [...ready, yardstick] : ready, settings, async (done, all) => {
        say(`sample ${done} of ${all}`);
        await breathe();
        return !host.stopped;
      });
  copies?.destroy();
  const copying = yardstick && timings[ready.length];
  const limit = copying ? rateOf(copies.bytesPerRun, spreadOf(copying.samples).medianMs) : limits.gflops;
  for (const [i, { name, work, error, calls }] of ready.entries()) {
    const timing = timings[i];
    if (timing) {
      const { planBytes = null } = work;
      const fewer = timing.samples.length < settings.rounds && `${timing.samples.length} rounds, being slow`;
      // Of whole steps, columns say it.
      const memory = each.suite === 'kernels' && [made(calls), planBytes && `${bytes(planBytes)} planned`];
      const note = [fewer, work.note, ...(memory || [])].filter(Boolean).join('; ');
      rows.push({
        ...figures(each, timing, limit),
        contender: name,
        ...calls,
        planBytes,
        maxError: error,
        note,
      });
    }
    await work.dispose();
  }
  (globalThis as { gc?: () => void }).gc?.();
  return rows;
}

type Calls = Pick<Counts, 'dispatches' | 'submits' | 'buffers' | 'bufferBytes'>;

const made = ({ buffers, bufferBytes }: Calls) =>
  buffers > 0 ? `${buffers} ${buffers === 1 ? 'buffer' : 'buffers'} made, ${bytes(bufferBytes)}` : '';

const blank = {
  medianMs: null,
  p10Ms: null,
  p90Ms: null,
  gflops: null,
  gbps: null,
  fractionOfLimit: null,
  dispatches: null,
  submits: null,
  buffers: null,
  bufferBytes: null,
  planBytes: null,
  maxError: null,
  rounds: null,
  calls: null,
  note: '',
};

/** In units of 10⁹ per second. */
const rateOf = (amount: number, ms: number) => amount / ms / 1e6;

function figures(each: Case, timing: Timing, limit: number) {
  const { flops, bytes: moved, bound } = each;
  const spread = spreadOf(timing.samples);
  const gflops = flops === null ? null : rateOf(flops, spread.medianMs);
  const gbps = moved === null ? null : rateOf(moved, spread.medianMs);
  const rate = bound === 'arithmetic' ? gflops : gbps;
  return {
    ...identity(each),
    ...spread,
    gflops,
    gbps,
    fractionOfLimit: rate && rate / limit,
    rounds: timing.samples.length,
    calls: timing.repeats,
  };
}

async function limitRows(limits: Limits): Promise<Measured[]> {
  const row = { ...blank, suite: 'limits', contender: 'device' } as const;
  const copies: Measured[] = [];
  for (const mebibytes of [4, 16]) {
    const { gbps, destroy } = await limits.copies(2 * mebibytes * 2 ** 20);
    destroy();
    copies.push({ ...row, name: 'copy', shape: `of ${mebibytes} MiB, reading and writing counted`, gbps });
  }
  return [
    { ...row, name: 'peak arithmetic', shape: 'multiply-adds in registers', gflops: limits.gflops },
    ...copies,
    { ...row, name: 'empty dispatch', shape: 'slope in one pass', medianMs: limits.dispatchMicroseconds / 1000 },
    { ...row, name: 'empty submit', shape: 'slope over submits', medianMs: limits.submitMicroseconds / 1000 },
  ];
}

const reason = (error: unknown) => (error instanceof Error ? error.message : String(error)).split('\n')[0] as string;

/** Lets the page draw, and a press of the stop button arrive. */
const breathe = () => new Promise((resolve) => setTimeout(resolve, 0));
