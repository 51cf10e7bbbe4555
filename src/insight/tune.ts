import type { KernelUse } from '../compile/schedule.ts';
import { trial, usesOf } from '../compile/trial.ts';
import { wordSize } from '../core/dtype.ts';
import { UnsupportedError, WeftError } from '../core/errors.ts';
import { abortSignal, callback, count, declareOptions, nullable } from '../core/options.ts';
import { sizeOf } from '../core/shape.ts';
import type { TensorType } from '../core/types.ts';
import type { BufferRange } from '../device/buffers.ts';
import type { Device } from '../device/device.ts';
import { statusBytes } from '../device/status.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import { type ChoiceStore, defaultStore, storeChoices, storeKind } from '../runtime/choiceStore.ts';
import { inOrder } from '../runtime/eager.ts';
import { Executable } from '../runtime/executable.ts';
import type { Compiled } from '../runtime/step.ts';
import { type Contender, contest } from './contest.ts';
import { sampler, stopwatchOf } from './stopwatch.ts';
import { StoreError, type Tuned, TuneReport } from './tuneReport.ts';

/** Where tuning is. */
export interface TuneProgress {
  /** Choices made so far. */
  readonly done: number;
  /** Choices that there are to make in all. */
  readonly all: number;
  /** The choice under way: a family of kernels and a class of shapes, as in `Choices`. */
  readonly choice: string;
}

/** How `tune` measures, and where its choices go. */
export interface TuneOptions {
  /** Where the choices are kept; by default localStorage in a page and a file in Deno and Node. Null: nowhere. */
  store?: ChoiceStore | null;
  /** Samples of each variant, the median of which counts; default 7. One takes 25 ms or a little more, less with timestamps. */
  rounds?: number;
  /** Called before each choice, with where tuning is. */
  onProgress?: (progress: TuneProgress) => void;
  /** Ends tuning: it rejects with the signal's reason, and no choice has changed. */
  signal?: AbortSignal;
}
const tuneOptions = declareOptions<TuneOptions>({
  store: nullable(storeKind),
  rounds: count,
  onProgress: callback,
  signal: abortSignal,
});

/**
 * Measures the variants of the kernels that a compiled step uses for arguments like these, on this device and at these
 * shapes, and uses the fastest from then on:
 *
 *     const report = await tune(step, [x, y]);
 *     console.log(`${report}`);                // a table
 *     await init({ choices: 'tuned' });        // in a later run
 *     await init({ choices: report.choices }); // or pinned, anywhere
 *
 * The step itself does not run. Another variant adds in another order, so that the last bits of results change: tuning is
 * never done unasked, and who wants to repeat a run keeps its choices, `currentDevice().choices`.
 *
 * Throws UnsupportedError where no store is at hand, FormatError where it holds something else (before anything is
 * measured), StoreError where it can't be written to: the choices are in use by then, and the error has the report.
 */
export async function tune<Args extends readonly unknown[]>(
  step: Compiled<Args, unknown>,
  args: Args,
  options?: TuneOptions,
): Promise<TuneReport> {
  const { store = defaultStore(), rounds = 7, onProgress, signal } = tuneOptions('tune', options);
  if (typeof step !== 'function' || typeof step.prepare !== 'function')
    throw new WeftError('[tune] needs a compiled function and its arguments: tune(compile(fn), [x, y])');
  signal?.throwIfAborted();
  // Finds a store that can't be read now, rather than after minutes of measuring.
  await store?.read('');
  const { device, program } = await step.prepare(...args);
  const uses = usesOf(program);
  const results: Tuned[] = [];
  const measuring = inOrder(async () => {
    for (const [done, { use, count }] of uses.entries()) {
      signal?.throwIfAborted();
      onProgress?.({ done, all: uses.length, choice: use.problem.choice });
      results.push({ ...(await measure(device, use, { rounds, signal })), count });
    }
  });
  await device.guarded(Promise.race([measuring, device.lost]));
  const report = new TuneReport(device.adapter, results);
  device.choose({ ...device.choices, ...report.choices });
  try {
    if (store) await storeChoices(device, report.choices, store);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : cause;
    throw new StoreError(
      `[tune] the choices are in use, but ${store?.name} can't keep them: ${reason}; keep the report's choices yourself`,
      report,
      { cause },
    );
  }
  return report;
}

/** Measures all variants of a kernel on its problem. */
async function measure(
  device: Device,
  use: KernelUse,
  options: { rounds: number; signal?: AbortSignal | undefined },
): Promise<Omit<Tuned, 'count'>> {
  const { choice, variants } = use.problem;
  const profile: DeviceProfile = { ...device.profile, choices: {} };
  const favourite = use.problem.call(profile).variant;
  const failed: Record<string, string> = {};
  const executables: Executable[] = [];
  const prepare = async (name: string, leaves: readonly BufferRange[], status: GPUBuffer): Promise<Contender[]> => {
    try {
      const executable = await Executable.create(device, trial(use, name, profile), status);
      executables.push(executable);
      executable.bind(leaves);
      await device.settled();
      return [contender(device, name, executable)];
    } catch (error) {
      if (!(error instanceof WeftError) || device.isLost) throw error;
      failed[name] = error.message;
      return [];
    }
  };
  // Gives the made-up data a status of its own, since it may be bad.
  const sizes = [...use.inputs, ...use.outputs].map(bytesOf);
  const buffers = await device.buffers.secured(() =>
    [...sizes, statusBytes].map((bytes) => device.buffers.create(bytes, 'weft tune')),
  );
  try {
    for (const [i, type] of use.inputs.entries()) fill(device, buffers[i] as GPUBuffer, type);
    const leaves = buffers.slice(0, -1).map((buffer) => ({ buffer, offset: 0 }));
    const status = buffers.at(-1) as GPUBuffer;
    await device.settled();
    await Promise.allSettled(variants.map(async (name) => Executable.compile(device, trial(use, name, profile))));
    // Makes the executables one by one, though their pipelines are compiled at once: the device does not say whose an
    // error is.
    const contenders: Contender[] = [];
    for (const name of variants) contenders.push(...(await prepare(name, leaves, status)));
    if (contenders.length === 0)
      throw new UnsupportedError(`[tune] no variant can do ${choice}: ${Object.values(failed)[0]}`);
    const { winner, times } = await contest(contenders, favourite, options);
    // Waits for the news of a loss, whose first sign is that variants fail.
    await device.settled();
    return { choice, favourite, winner, times, failed };
  } finally {
    for (const each of executables) each.destroy();
    for (const each of buffers) device.buffers.destroy(each);
  }
}

function contender(device: Device, name: string, executable: Executable): Contender {
  let sample: (() => Promise<number>) | null = null;
  return {
    name,
    async sample() {
      sample ??= await sampler(await stopwatchOf(device), (pass) => executable.record(pass));
      return sample();
    },
  };
}

/** Elements that are made on the host; a larger input repeats them. */
const patternSize = 2 ** 16;

/** Numbers between -0.5 and 0.5, or small indices. Zeros would be unfair: some processors are slow at denormals, some fast. */
function fill(device: Device, buffer: GPUBuffer, type: TensorType): void {
  const size = sizeOf(type.shape);
  const length = Math.min(size, patternSize);
  const data =
    type.dtype === 'f32'
      ? Float32Array.from({ length }, (_, i) => (Math.imul(i + 1, 0x9e3779b1) >>> 8) / 2 ** 24 - 0.5)
      : Uint32Array.from({ length }, (_, i) => (7 * i) % (type.dtype === 'bool' ? 2 : 61));
  for (let at = 0; at < size; at += length)
    device.gpu.queue.writeBuffer(buffer, wordSize * at, data, 0, Math.min(length, size - at));
}

/** Kernels that read four elements at once read whole ones. */
const bytesOf = ({ shape }: TensorType) => 4 * wordSize * Math.ceil(sizeOf(shape) / 4);
