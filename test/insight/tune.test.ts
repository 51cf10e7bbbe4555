import { beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type ChoiceStore,
  type Choices,
  compile,
  crossEntropy,
  currentDevice,
  DeviceLostError,
  embedding,
  FormatError,
  init,
  ones,
  optim,
  parameter,
  randn,
  StoreError,
  softmax,
  type Tensor,
  type TuneProgress,
  tensor,
  tune,
  UnsupportedError,
  ValueError,
} from '../../src/index.ts';
import { profile } from '../support/environment.ts';
import { announceReads, device, read, useGpu } from '../support/gpu.ts';

/** Tuning measures; what wins is a matter of the device. What is tested is everything around it. */

/** A store for one test. */
function memory(): ChoiceStore & { texts: string[] } {
  const texts: string[] = [];
  return {
    name: 'memory',
    texts,
    read: async () => texts.at(-1) ?? null,
    async write(_, text) {
      texts.push(text);
    },
  };
}

/** Rows of [5, 40] to their softmax, and the sum of its columns: two families, two and three variants that can do it. */
const columns = () => compile((x: Tensor) => softmax(x).sum(0));

describe('tune', () => {
  useGpu();
  beforeEach(() => announceReads(Infinity));

  test('measures every variant that can do a problem, and uses the winners from then on', async () => {
    const step = columns();
    const x = randn([5, 40]);
    const [before] = await read(await step(x));
    const store = memory();
    try {
      const report = await tune(step, [x], { rounds: 1, store });
      const found = Object.fromEntries(report.results.map((each) => [each.choice, each]));
      expect(Object.keys(found)).toEqual(['softmax 4 32 1', 'reduce 1 4 32']);
      const { times, failed, count } = found['softmax 4 32 1'] as (typeof report.results)[number];
      expect([Object.keys(times).sort(), failed, count]).toEqual([['rows', 'thread'], {}, 1]);
      expect(Object.keys(found['reduce 1 4 32']?.failed ?? {})).toEqual(['rows']);
      expect(found['reduce 1 4 32']?.failed.rows).toContain('a row is not contiguous');
      for (const ms of report.results.flatMap((each) => Object.values(each.times)))
        expect(ms).toBeGreaterThanOrEqual(0);

      for (const { choice, winner, times: measured } of report.results) {
        expect(report.choices[choice]).toBe(winner);
        expect(Object.keys(measured)).toContain(winner);
      }
      expect(device.choices).toEqual(report.choices);
      expect(store.texts.map((text) => JSON.parse(text))).toEqual([report.choices]);
      const kernels = Object.keys((await step.prepare(x)).summary().kernels);
      expect(kernels[0]).toBe(`softmax/${report.choices['softmax 4 32 1']}`);
      const lines = `${report}`.split('\n');
      expect(lines[0]).toContain(device.adapter);
      expect(lines).toHaveLength(3);
      expect(lines[1]).toMatch(/^softmax 4 32 1 +× 1 +(rows|thread) .*thread [\d.e-]+ ms/);

      const [after] = await read(await step(x));
      expect(after?.length).toBe(before?.length);
      for (const [i, value] of (before ?? []).entries()) expect(after?.[i]).toBeCloseTo(value, 5);
    } finally {
      device.choose({});
    }
  });

  test('runs no step, and leaves states and memory as they were', async () => {
    const x = randn([8, 12]);
    const scale = parameter(randn([12]));
    const optimizer = new optim.SGD([scale], { lr: 0.1 });
    const step = compile(() => {
      const loss = softmax(x.mul(scale)).square().sum();
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    await step();
    const [before] = await read(scale.version);
    const bytes = device.memory().liveBytes;
    try {
      await tune(step, [], { rounds: 1, store: null });
      expect((await read(scale.version))[0]).toEqual(before);
      // Less where what earlier tests have left was collected meanwhile.
      expect(device.memory().liveBytes).toBeLessThanOrEqual(bytes);
      expect(Object.keys(device.choices)).not.toHaveLength(0);
    } finally {
      device.choose({});
    }
  });

  test('keeps to itself that its made-up data is bad, and keeps what a step has left', async () => {
    const loss = compile((logits: Tensor, targets: Tensor) => crossEntropy(logits, targets));
    const [logits, targets] = [randn([8, 4]), tensor(new Int32Array(8))];
    const table = parameter(randn([4, 8]));
    const lookUp = compile((ids: Tensor) => embedding(ids, table));
    try {
      // Made-up targets lie beyond four classes.
      await tune(loss, [logits, targets], { rounds: 1, store: null });
      await expect((await loss(logits, targets)).data()).resolves.toHaveLength(1);
      const bad = await lookUp(tensor(new Int32Array([1, 9])));
      await tune(loss, [logits, targets], { rounds: 1, store: null });
      await expect(bad.data()).rejects.toThrow('[embedding]');

      // Reported while tuning goes on: no step that follows reports it again.
      const worse = await lookUp(tensor(new Int32Array([1, 9])));
      let reading: Promise<unknown> | null = null;
      const onProgress = () => {
        reading ??= expect(worse.data()).rejects.toThrow('[embedding]');
      };
      await tune(loss, [logits, targets], { rounds: 1, store: null, onProgress });
      await reading;
      await expect((await lookUp(tensor(new Int32Array([1, 2])))).data()).resolves.toHaveLength(16);
    } finally {
      device.choose({});
    }
  });

  test('tells which variant does not compile, and keeps no memory where tuning fails', async () => {
    const step = columns();
    const x = randn([5, 40]);
    await step.prepare(x);
    const get = device.pipelines.get.bind(device.pipelines);
    const pipelines = vi.spyOn(device.pipelines, 'get');
    const isThread = (label: string) => label.includes('thread');
    try {
      pipelines.mockImplementation((shader, label) =>
        get(isThread(label) ? { ...shader, code: `${shader.code} broken` } : shader, label),
      );
      const { results } = await tune(step, [x], { rounds: 1, store: null });
      const { failed, winner } = results[0] as (typeof results)[number];
      expect([Object.keys(failed), winner]).toEqual([['thread'], 'rows']);
      expect(failed.thread).toContain('does not compile');

      await step.prepare(x);
      const { buffers } = device.memory();
      pipelines.mockImplementation(async (shader, label) => {
        if (isThread(label)) throw new TypeError('odd');
        return get(shader, label);
      });
      await expect(tune(step, [x], { rounds: 1, store: null })).rejects.toThrow('odd');
      expect(device.memory().buffers).toBeLessThanOrEqual(buffers);
    } finally {
      pipelines.mockRestore();
      device.choose({});
    }
  });

  test('tells where it is, and ends when it is told to, with no choice changed', async () => {
    const step = columns();
    const seen: TuneProgress[] = [];
    const stop = new AbortController();
    const store = memory();
    const onProgress = (progress: TuneProgress) => {
      seen.push(progress);
      if (progress.done === 1) stop.abort(new Error('enough'));
    };
    await expect(tune(step, [randn([5, 40])], { rounds: 1, store, onProgress, signal: stop.signal })).rejects.toThrow(
      'enough',
    );
    expect(seen).toEqual([
      { done: 0, all: 2, choice: 'softmax 4 32 1' },
      { done: 1, all: 2, choice: 'reduce 1 4 32' },
    ]);
    expect(device.choices).toEqual({});
    expect(store.texts).toEqual([]);
  });

  test('refuses what is no compiled function, and a store that does not work, before it measures', async () => {
    const plain = ((x: Tensor) => x) as unknown as Parameters<typeof tune>[0];
    await expect(tune(plain, [])).rejects.toThrow('[tune] needs a compiled function and its arguments');
    const step = columns();
    const broken = { ...memory(), read: () => Promise.reject(new Error('no access')) };
    const onProgress = () => expect.unreachable();
    await expect(tune(step, [randn([5, 40])], { store: broken, onProgress })).rejects.toThrow('no access');
  });

  test('uses its choices even where the store can’t keep them, and says so', async () => {
    const full = { ...memory(), write: () => Promise.reject(new Error('it is full')) };
    try {
      const error = await tune(columns(), [randn([5, 40])], { rounds: 1, store: full }).catch((reason) => reason);
      expect(error).toBeInstanceOf(StoreError);
      expect(error.message).toContain("[tune] the choices are in use, but memory can't keep them: it is full");
      expect(Object.keys(device.choices)).toEqual(['softmax 4 32 1', 'reduce 1 4 32']);
      expect(error.report.choices).toEqual(device.choices);
    } finally {
      device.choose({});
    }
  });

  test.each([0, 1.5, Number.NaN])('takes no %s rounds', async (rounds) => {
    await expect(tune(columns(), [randn([5, 40])], { rounds, store: null })).rejects.toThrow(ValueError);
  });
});

describe('choices', () => {
  /** Opens a device with choices; it is no other test's. */
  async function choicesOf(choices: Choices | 'tuned', store?: ChoiceStore): Promise<Choices> {
    const own = await init({ profile, limits: 'default', choices, ...(store ? { store } : {}) });
    own.destroy();
    return own.choices;
  }

  test('are pinned, or restored where init is asked to', async () => {
    const store = memory();
    expect(await choicesOf('tuned', store)).toEqual({});
    await store.write('', '{"softmax 4 32 1":"rows"}');
    expect(await choicesOf('tuned', store)).toEqual({ 'softmax 4 32 1': 'rows' });
    expect(await choicesOf({ softmax: 'thread' }, store)).toEqual({ softmax: 'thread' });
  });

  test('that can’t be used open no device', async () => {
    const requestDevice = vi.spyOn(GPUAdapter.prototype, 'requestDevice');
    try {
      const wrong = { ...memory(), read: async () => '{"matmul":3}' };
      await expect(init({ choices: 'tuned', store: wrong })).rejects.toThrow(FormatError);
      expect(requestDevice).not.toHaveBeenCalled();
    } finally {
      requestDevice.mockRestore();
    }
  });

  test('that take long to restore don’t make a later init an earlier one', async () => {
    let answer = (_: null) => {};
    const answered = new Promise<null>((resolve) => {
      answer = resolve;
    });
    const slow = { ...memory(), read: () => answered };
    const first = init({ profile, limits: 'default', choices: 'tuned', store: slow });
    const second = await init({ profile, limits: 'default' });
    answer(null);
    (await first).destroy();
    expect(currentDevice()).toBe(second);
    second.destroy();
  });

  test('must name what is there', async () => {
    await expect(init({ choices: { matmul: 'tiled65' } })).rejects.toThrow(UnsupportedError);
    await expect(init({ choices: { matmul: 'tiled65' } })).rejects.toThrow('[choose] matmul has no variant "tiled65"');
  });
});

test('tune measures on the device that the step runs on', async () => {
  const first = await init({ profile, limits: 'default' });
  let second = first;
  const store = memory();
  const read = async () => {
    if (second === first) second = await init({ profile, limits: 'default' });
    return null;
  };
  const step = compile(() => softmax(ones([5, 40])));
  const report = await tune(step, [], { rounds: 1, store: { ...store, read } });
  expect((await step.prepare()).device).toBe(second);
  expect(first.choices).toEqual({});
  expect(second.choices).toEqual(report.choices);
  first.destroy();
  second.destroy();
});

test('tune keeps nothing of a device that is lost while it prepares', async () => {
  const own = await init({ profile, limits: 'default' });
  const store = memory();
  const step = compile((x: Tensor) => softmax(x));
  const tuning = tune(step, [randn([5, 40])], { rounds: 1, store, onProgress: () => own.destroy() });
  await expect(tuning).rejects.toThrow(DeviceLostError);
  expect(own.choices).toEqual({});
  expect(store.texts).toEqual([]);
});

/** The tests' device keeps to the default limits, without the clock. */
test('tune uses the device’s clock where there is one', async () => {
  const own = await init({ profile });
  try {
    const report = await tune(columns(), [randn([5, 40])], { rounds: 2, store: null });
    expect(report.results).toHaveLength(2);
    expect(own.choices).toEqual(report.choices);
  } finally {
    own.destroy();
  }
});
