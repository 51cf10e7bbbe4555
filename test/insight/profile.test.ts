import { describe, expect, test } from 'vitest';
import {
  compile,
  grad,
  init,
  nn,
  optim,
  parameter,
  profile,
  randn,
  type Tensor,
  ValueError,
  WeftError,
} from '../../src/index.ts';
import { profile as selection } from '../support/environment.ts';
import { announceReads, device, read, useGpu } from '../support/gpu.ts';

/** A training step with states that are overwritten in place. */
function training(x = randn([8, 24]), initial = randn([24, 16])) {
  const weight = parameter(initial);
  const optimizer = new optim.SGD([weight], { lr: 0.1, momentum: 0.9 });
  const step = compile(() => {
    const loss = x.matmul(weight).softmax(-1).pow(2).mean();
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  return { weight, step };
}

async function expectWholeStep(method: 'timestamps' | 'repetition') {
  const { step } = training();
  const plan = await step.prepare();
  const report = await profile(() => step(), { method });
  expect(report.method).toBe(method);
  const labels = plan.program.commands.flatMap((command) => (command.kind === 'dispatch' ? [command.label] : []));
  expect(report.dispatches.map(({ label }) => label)).toEqual(labels);
  expect(report.kernels.reduce((sum, { calls }) => sum + calls, 0)).toBe(plan.summary().dispatches);
  for (const { ms, startMs, bytes } of report.dispatches) {
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(startMs).toBeGreaterThanOrEqual(0);
    expect(bytes).toBeGreaterThan(0);
  }
}

describe('profile', () => {
  useGpu();

  test('by repetition: every dispatch of a step once, in order', () => expectWholeStep('repetition'));

  test('profiling changes no result: what is repeated works on copies', async () => {
    const [x, initial] = [randn([8, 24]), randn([24, 16])];
    const [plain, profiled] = [training(x, initial), training(x, initial)];
    for (let i = 0; i < 3; i++) await plain.step();
    await profiled.step();
    await profile(() => profiled.step(), { method: 'repetition' });
    await profiled.step();
    const [expected, actual, start] = await read(plain.weight.version, profiled.weight.version, initial);
    expect(actual).toEqual(expected);
    expect(actual).not.toEqual(start);
  });

  test('an eager function, and a table and a trace of it', async () => {
    const layer = new nn.Linear(16, 8);
    const x = randn([4, 16]);
    const value = async () => {
      announceReads(1);
      const [gradient] = grad(layer.forward(x).gelu().sum(), [layer.weight]);
      await (gradient as typeof x).data();
    };
    await value();
    const report = await profile(value, { method: 'repetition' });
    const lines = report.table().split('\n');
    expect(lines[0]).toMatch(/^kernel +calls +ms +share +GB\/s$/);
    expect(lines).toHaveLength(report.kernels.length + 2);
    expect(`${report}`).toContain(device.adapter);
    const shares = report.kernels.map(({ share }) => share);
    expect(shares).toEqual([...shares].sort((a, b) => b - a));
    // Through JSON, as a viewer gets it: complete events need a name, a phase, a start and a length in microseconds.
    const { traceEvents } = JSON.parse(JSON.stringify(report.trace())) as { traceEvents: Record<string, unknown>[] };
    const events = traceEvents.filter(({ ph }) => ph === 'X');
    expect(events).toHaveLength(report.dispatches.length);
    let end = 0;
    for (const { name, ts, dur, pid, tid } of events) {
      expect([typeof name, typeof ts, typeof dur, pid, tid]).toEqual(['string', 'number', 'number', 1, 1]);
      expect(ts as number).toBeCloseTo(end, 6);
      end = (ts as number) + (dur as number);
    }
  });

  test('by repetition: what a plan that has gone meanwhile ran', async () => {
    const double = compile((x: Tensor) => x.mul(2));
    const x = randn([8]);
    // A function keeps four plans of one signature; each choice makes another.
    const steps = 6;
    const run = async () => {
      for (let i = 0; i < steps; i++) {
        device.choose({});
        await double(x);
      }
    };
    await run();
    const { buffers } = device.memory();
    const report = await profile(run, { method: 'repetition' });
    expect(report.dispatches).toHaveLength(steps);
    // The plans have given back theirs in the end; results that nobody has collected yet may have moved.
    expect(device.memory().buffers).toBeLessThanOrEqual(buffers + steps);
    expect([...double.plans.values()].flat()).toHaveLength(4);
  });

  test('one function at a time', async () => {
    const { step } = training();
    const plan = await step.prepare();
    const [first, second] = await Promise.allSettled([
      profile(() => step(), { method: 'repetition' }),
      profile(() => step(), { method: 'repetition' }),
    ]);
    expect(first.status === 'fulfilled' && first.value.dispatches.length).toBe(plan.summary().dispatches);
    expect(second.status === 'rejected' && second.reason).toBeInstanceOf(WeftError);
    await expect(profile(() => step(), { method: 'repetition' })).resolves.toBeDefined();
  });

  test('what can’t be profiled', async () => {
    await expect(profile(() => {})).rejects.toThrow('[profile] the function ran nothing on the GPU');
    await expect(profile(() => {}, { method: 'guess' as 'repetition' })).rejects.toThrow(ValueError);
    const { step } = training();
    await step.prepare();
    await profile(
      async () => {
        await expect(profile(() => step())).rejects.toThrow(WeftError);
        await step();
      },
      { method: 'repetition' },
    );
    await expect(
      profile(() => {
        throw new Error('of its own');
      }),
    ).rejects.toThrow('of its own');
    expect(device.recorder).toBeNull();
  });
});

/** The tests' device keeps to the default limits, without the clock. */
test('by timestamps, where the device has them: every dispatch of a step once, in order', async () => {
  const own = await init({ profile: selection });
  try {
    if (own.gpu.features.has('timestamp-query')) await expectWholeStep('timestamps');
    else
      await expect(profile(() => {}, { method: 'timestamps' })).rejects.toThrow('this device has no timestamp queries');
  } finally {
    own.destroy();
  }
});
