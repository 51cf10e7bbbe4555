import { ValueError, WeftError } from '../core/errors.ts';
import { declareOptions, oneOf } from '../core/options.ts';
import { currentDevice } from '../device/current.ts';
import type { Device } from '../device/device.ts';
import { materialise } from '../runtime/eager.ts';
import { type DispatchTime, ProfileReport } from './profileReport.ts';
import { DispatchRecorder } from './recorder.ts';
import { timesByRepetition } from './repetition.ts';
import { isCoarse } from './stopwatch.ts';

/** How `profile` takes its times. */
export interface ProfileOptions {
  /**
   * `timestamps` asks the device's clock around every dispatch; `repetition` runs each dispatch many times afterwards, on
   * copies of what it writes. By default timestamps where the device has them, and where they are fine enough.
   */
  method?: 'timestamps' | 'repetition';
}
const profileOptions = declareOptions<ProfileOptions>({ method: oneOf('timestamps', 'repetition') });

/** Devices on which a function is being profiled, until its report is there. */
const busy = new WeakSet<Device>();

/**
 * Runs `fn` once and says where its time on the GPU goes, kernel by kernel:
 *
 *     const report = await profile(() => step(x, y));
 *     console.log(`${report}`);                          // a table
 *     save('trace.json', JSON.stringify(report.trace())); // for chrome://tracing or ui.perfetto.dev
 *
 * Compiled steps and eager ops both count; run a step a few times before, or its compilation is part of `wallMs`. What an
 * eager `fn` computes must be read in it. Each dispatch gets a pass of its own, so that a profiled step takes a little longer.
 */
export async function profile(fn: () => unknown, options?: ProfileOptions): Promise<ProfileReport> {
  const { method } = profileOptions('profile', options);
  const device = currentDevice();
  const available = device.gpu.features.has('timestamp-query');
  if (method === 'timestamps' && !available)
    throw new ValueError("[profile] this device has no timestamp queries; leave the method out, or use 'repetition'");
  if (busy.has(device)) throw new WeftError('[profile] a function is being profiled already; wait for its report');
  busy.add(device);
  try {
    return await device.orLost(
      device.buffers.keepingAll(() => measured(device, fn, available ? method : 'repetition')),
    );
  } finally {
    busy.delete(device);
  }
}

async function measured(device: Device, fn: () => unknown, method: ProfileOptions['method']): Promise<ProfileReport> {
  await materialise([]);
  const recorder = new DispatchRecorder(device, method !== 'repetition');
  const start = performance.now();
  device.recorder = recorder;
  try {
    await fn();
    await materialise([]);
  } finally {
    device.recorder = null;
  }
  await device.settled();
  const wallMs = performance.now() - start;
  if (recorder.dispatches.length === 0)
    throw new WeftError(
      '[profile] the function ran nothing on the GPU: call a compiled step, or read what it computes',
    );

  const stamps = await recorder.times();
  const times = stamps.flat();
  const coarse = times.every(isCoarse);
  if (stamps.length > 0 && (method === 'timestamps' || !coarse)) {
    const origin = times.reduce((first, time) => (time < first ? time : first));
    const at = (time: bigint) => Number(time - origin) / 1e6;
    return report('timestamps', ([begin, end]) => [at(begin), at(end > begin ? end : begin)], stamps);
  }
  const lengths = await timesByRepetition(device, recorder.dispatches);
  const spans: [number, number][] = [];
  for (const ms of lengths) {
    const end = spans.at(-1)?.[1] ?? 0;
    spans.push([end, end + ms]);
  }
  return report('repetition', (span) => span, spans);

  function report<Each>(
    used: 'timestamps' | 'repetition',
    span: (each: Each) => readonly [number, number],
    list: readonly Each[],
  ) {
    const dispatches = recorder.dispatches.map((dispatch, i): DispatchTime => {
      const [startMs, endMs] = span(list[i] as Each);
      const { label, kernel, fused, workgroups, bindings } = dispatch;
      const bytes = bindings.slice(1).reduce((sum, { size }) => sum + size, 0);
      return { label, kernel, fused, workgroups, bytes, startMs, ms: endMs - startMs };
    });
    return new ProfileReport({ adapter: device.adapter, method: used, wallMs, dispatches });
  }
}
