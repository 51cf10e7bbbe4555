import { describe, expect, it, vi } from 'vitest';
import { DataLoader, type LoaderOptions, type Samples, ShapeError, type Tensor, ValueError } from '../../src/index.ts';

const count = (n: number) => Array.from({ length: n }, (_, i) => i);
/** Batches as arrays of the samples. */
const plain = { collate: (samples: readonly number[]) => [...samples] };
const pause = (ms = 0) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function all<Batch>(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const list: Batch[] = [];
  for await (const batch of batches) list.push(batch);
  return list;
}

/** The first `n` batches over as many epochs as that takes. */
async function several<Batch>(loader: AsyncIterable<Batch>, n: number): Promise<Batch[]> {
  const list: Batch[] = [];
  while (list.length < n) for await (const batch of loader) if (list.push(batch) === n) break;
  return list;
}

/** Every kind of data, with the samples 0 to 9. */
const sources: Readonly<Record<string, () => Samples<number>>> = {
  'an array': () => count(10),
  'a typed array': () => Int32Array.from(count(10)),
  'what is like an array': () => ({ ...count(10), length: 10 }),
  'what has an async at': () => ({
    length: 10,
    async at(i: number) {
      await pause(i % 3);
      return i;
    },
  }),
  'an array of promises': () => count(10).map((i) => pause().then(() => i)) as unknown as number[],
  'an iterable': () => new Set(count(10)),
  'an async iterable': () => ({
    async *[Symbol.asyncIterator]() {
      for (const i of count(10)) {
        if (i % 4 === 0) await pause();
        yield i;
      }
    },
  }),
  'a function that gives a generator': () =>
    function* () {
      yield* count(10);
    },
  'an iterable of promises': () => ({
    *[Symbol.iterator]() {
      for (const i of count(10)) yield pause().then(() => i) as unknown as number;
    },
  }),
};
const names = Object.keys(sources);
const sourceOf = (name: string) => (sources[name] as () => Samples<number>)();

describe.for(names)('a loader of %s', (name) => {
  it('gives all samples in order, epoch after epoch, the last batch with what is left', async () => {
    const loader = new DataLoader(sourceOf(name), { ...plain, batchSize: 4 });
    const expected = [
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ];
    expect(await all(loader)).toEqual(expected);
    expect(await all(loader)).toEqual(expected);
    expect(loader.state()).toMatchObject({ epoch: 2, position: 0 });
  });

  it('leaves the rest out with dropLast', async () => {
    const loader = new DataLoader(sourceOf(name), { ...plain, batchSize: 4, dropLast: true });
    expect(await all(loader)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ]);
  });

  it.for([
    { prefetch: 0, dropLast: false },
    { prefetch: 2, dropLast: true },
  ])('goes on after every batch to the very next, prefetching $prefetch', async (settings) => {
    const shuffle = !/iterable|generator/.test(name);
    const options = { ...plain, ...settings, batchSize: 3, shuffle, seed: 5 };
    const expected = await several(new DataLoader(sourceOf(name), options), 10);
    for (const seen of count(9)) {
      const loader = new DataLoader(sourceOf(name), options);
      const before = await several(loader, seen);
      const state = JSON.parse(JSON.stringify(loader.state()));
      const other = new DataLoader(sourceOf(name), { ...options, seed: 99 }).restore(state);
      expect([...before, ...(await several(other, 10 - seen))], `after ${seen} batches`).toEqual(expected);
    }
  });

  it('gives nothing more of an epoch whose last batch has been seen', async () => {
    const loader = new DataLoader(sourceOf(name), { ...plain, batchSize: 5 });
    await several(loader, 2);
    const other = new DataLoader(sourceOf(name), { ...plain, batchSize: 5 }).restore(loader.state());
    expect(await all(other)).toEqual([]);
    expect((await all(other)).length).toBe(2);
  });
});

describe('a loader that shuffles', () => {
  const options = { ...plain, batchSize: 10, shuffle: true };

  it('has each sample once in an epoch, in another order in the next, and repeats all with its seed', async () => {
    const epochs = async (seed: number | bigint) => several(new DataLoader(count(100), { ...options, seed }), 30);
    const first = await epochs(1);
    const orders = [0, 10, 20].map((start) => first.slice(start, start + 10).flat());
    for (const order of orders) {
      expect(order).not.toEqual(count(100));
      expect([...order].sort((a, b) => a - b)).toEqual(count(100));
    }
    expect(new Set(orders.map(String)).size).toBe(3);
    expect(await epochs(1)).toEqual(first);
    expect(await epochs(2)).not.toEqual(first);
    expect(await epochs(2n ** 40n + 1n)).not.toEqual(first);
  });

  it('brings each sample to each place alike', async () => {
    const places = Array.from({ length: 5 }, () => new Array<number>(5).fill(0));
    const loader = new DataLoader(count(5), { ...options, batchSize: 5, seed: 3 });
    const epochs = 2000;
    for (let epoch = 0; epoch < epochs; epoch++) {
      const [order] = (await all(loader)) as [number[]];
      for (const [place, sample] of order.entries())
        (places[place] as number[])[sample] = (places[place]?.[sample] ?? 0) + 1;
    }
    // Each count is binomial: 400 ± 17.9. Five deviations, for 25 counts of one seed.
    const deviation = Math.sqrt(epochs * 0.2 * 0.8);
    for (const seen of places.flat()) expect(Math.abs(seen - epochs / 5)).toBeLessThan(5 * deviation);
  });

  it('needs data with a length', () => {
    const shuffled = () => new DataLoader(new Set([1]), { shuffle: true });
    expect(shuffled).toThrow(ValueError);
    expect(shuffled).toThrow('[DataLoader] shuffle needs data with a length');
  });
});

describe('a batch', () => {
  it('is made of tensors by default, of one sample where no size is given', async () => {
    const pairs = count(3).map((i) => [Float32Array.of(i, i + 1), i] as const);
    const loader: AsyncIterable<[x: Tensor, y: Tensor]> = new DataLoader(pairs);
    const [[x, y]] = (await all(loader)) as [[Tensor, Tensor]];
    expect([x.shape, y.shape]).toEqual([[1, 2], [1]]);
  });

  it('has the type of a typed array', async () => {
    const types = [Int32Array, Uint32Array, Float64Array].map(async (type) => {
      const [batch] = (await all(new DataLoader(type.of(2 ** 24 + 1), { batchSize: 4 }))) as [Tensor];
      return [batch.dtype, batch.host?.[0]];
    });
    expect(await Promise.all(types)).toEqual([
      ['i32', 2 ** 24 + 1],
      ['u32', 2 ** 24 + 1],
      ['f32', 2 ** 24],
    ]);
  });

  it('says which sample of the data does not fit, whatever the order', async () => {
    const data = count(10).map((i) => new Float32Array(i === 7 ? 3 : 2));
    for (const settings of [{}, { shuffle: true, seed: 4 }]) {
      const error = await all(new DataLoader(data, { batchSize: 10, ...settings })).catch((e: unknown) => e);
      expect(error).toBeInstanceOf(ShapeError);
      // Where it comes first, it is the others that differ.
      expect(String(error)).toMatch(/\[collate\] sample 7 has 3 elements, sample \d has 2/);
    }
    const sequential = new DataLoader(new Set(data), { batchSize: 4 });
    await expect(all(sequential)).rejects.toThrow('[collate] sample 7 has 3 elements, sample 4 has 2');
  });
});

describe('prefetching', () => {
  it('makes that many batches ahead, side by side, and no more', async () => {
    const log: string[] = [];
    const loader = new DataLoader(count(12), {
      batchSize: 2,
      prefetch: 2,
      async collate([first]) {
        log.push(`begins ${first}`);
        await pause(first === 0 ? 20 : 1);
        log.push(`has ${first}`);
        return first;
      },
    });
    const batches = loader[Symbol.asyncIterator]();
    expect((await batches.next()).value).toBe(0);
    // The two after it began before it was there, and none after those.
    expect(log.filter((line) => line.startsWith('begins'))).toEqual(['begins 0', 'begins 2', 'begins 4']);
    expect(log.indexOf('begins 4')).toBeLessThan(log.indexOf('has 0'));
    await pause(20);
    expect(log.length).toBe(6);
    expect(await all(batches)).toEqual([2, 4, 6, 8, 10]);
    expect(log.length).toBe(12);
  });

  it('keeps the order of a slow source, whatever batch is made first', async () => {
    const source = async function* () {
      for (const i of count(9)) {
        await pause(i % 2);
        yield i;
      }
    };
    let most = 0;
    let running = 0;
    const loader = new DataLoader(source, {
      batchSize: 2,
      prefetch: 3,
      async collate(samples) {
        most = Math.max(most, ++running);
        await pause(10 - (samples[0] as number));
        running--;
        return [...samples];
      },
    });
    expect(await all(loader)).toEqual([[0, 1], [2, 3], [4, 5], [6, 7], [8]]);
    expect(most).toBeGreaterThan(1);
  });

  it('makes nothing ahead where it is not asked for', async () => {
    const collate = vi.fn(([first]: readonly number[]) => first);
    const batches = new DataLoader(count(4), { collate })[Symbol.asyncIterator]();
    await batches.next();
    await pause();
    expect(collate).toHaveBeenCalledTimes(1);
    await batches.return();
  });
});

describe('what goes wrong', () => {
  const broken = new Error('the disk is on fire');

  it.for([0, 3])('reaches the loop once, after the batches before it, prefetching %i', async (prefetch) => {
    const unhandled: unknown[] = [];
    const note = (event: Event) => {
      unhandled.push(event);
      event.preventDefault();
    };
    globalThis.addEventListener('unhandledrejection', note);
    const failing: Record<string, () => DataLoader<number, number[]>> = {
      source: () =>
        new DataLoader(
          async function* () {
            yield* [0, 1, 2, 3, 4];
            throw broken;
          },
          { ...plain, batchSize: 2, prefetch },
        ),
      'sample that is async': () =>
        new DataLoader(
          { length: 9, at: async (i: number) => (i < 4 ? i : Promise.reject(broken)) },
          { ...plain, batchSize: 2, prefetch },
        ),
      'sample that throws': () =>
        new DataLoader(
          {
            length: 9,
            at(i: number) {
              if (i === 5) throw broken;
              return i === 4 ? pause().then(() => Promise.reject(broken)) : i;
            },
          },
          { ...plain, batchSize: 2, prefetch },
        ),
      collate: () =>
        new DataLoader(count(9), {
          batchSize: 2,
          prefetch,
          async collate(samples) {
            await pause();
            if (samples.includes(4)) throw broken;
            return [...samples];
          },
        }),
    };
    for (const [name, make] of Object.entries(failing)) {
      const loader = make();
      const seen: number[][] = [];
      const batches = loader[Symbol.asyncIterator]();
      const loop = async () => {
        for await (const batch of batches) seen.push(batch);
      };
      await expect(loop(), name).rejects.toBe(broken);
      expect(seen, name).toEqual([
        [0, 1],
        [2, 3],
      ]);
      expect(await batches.next(), name).toEqual({ done: true, value: undefined });
      // The batch that failed is the next, for who restores.
      expect(loader.state(), name).toMatchObject({ epoch: 0, position: 4 });
    }
    await pause(5);
    globalThis.removeEventListener('unhandledrejection', note);
    expect(unhandled).toEqual([]);
  });

  it.for([0, 2])('or ends early closes the iterator of the source once, prefetching %i', async (prefetch) => {
    let closed = 0;
    let read = 0;
    const source = () => ({
      [Symbol.asyncIterator]: () => ({
        async next() {
          await pause(1);
          return { done: false as const, value: read++ };
        },
        async return() {
          closed++;
          return { done: true as const, value: undefined };
        },
      }),
    });
    for await (const batch of new DataLoader(source(), { ...plain, batchSize: 4, prefetch })) {
      expect(batch).toEqual([0, 1, 2, 3]);
      break;
    }
    expect(closed).toBe(1);
    const before = read;
    await pause(20);
    expect(read).toBe(before);
    // What is made ahead stops in the middle of its first batch.
    expect(read).toBeGreaterThanOrEqual(4);
    expect(read).toBeLessThan(prefetch === 0 ? 5 : 8);
    const collate = () => {
      throw broken;
    };
    await expect(all(new DataLoader(source(), { collate, prefetch }))).rejects.toBe(broken);
    expect(closed).toBe(2);
    const rejecting = function* () {
      try {
        yield Promise.reject(broken) as unknown as number;
      } finally {
        closed++;
      }
    };
    await expect(all(new DataLoader(rejecting, { ...plain, prefetch }))).rejects.toBe(broken);
    expect(closed).toBe(3);
  });

  it('says that an iterator can be gone through only once', async () => {
    const loader = new DataLoader([1, 2].values(), plain);
    expect(await all(loader)).toEqual([[1], [2]]);
    await expect(all(loader)).rejects.toThrow(
      '[DataLoader] its data is an iterator, which can be gone through only once',
    );
    const same = [1, 2].values();
    const again = new DataLoader(() => same, plain);
    await all(again);
    await expect(all(again)).rejects.toThrow(ValueError);
  });

  it('says what is no data, and what gives none', async () => {
    for (const data of [5, null, undefined, 'text', {}, BigInt64Array.of(1n), new DataView(new ArrayBuffer(4))])
      expect(() => new DataLoader(data as never)).toThrow('[DataLoader] data must be an array or something else');
    await expect(all(new DataLoader((() => 5) as never))).rejects.toThrow(
      'must give an iterable or async iterable, got 5',
    );
  });

  it('refuses states that are none, or not of this data', async () => {
    const loader = new DataLoader(count(4), plain);
    const state = loader.state();
    for (const odd of [{ ...state, position: -1 }, { ...state, epoch: 0.5 }, { ...state, seed: [1] }, { epoch: 1 }])
      expect(() => loader.restore(odd as never)).toThrow(/^\[DataLoader.restore\] /);
    const beyond = { ...state, position: 5 };
    const message = '[DataLoader] 5 samples of the epoch were used before, but the data has';
    await expect(all(loader.restore(beyond))).rejects.toThrow(`${message} 4`);
    const iterable = new DataLoader(new Set(count(4)), plain).restore(beyond);
    await expect(all(iterable)).rejects.toThrow(`${message} ended after 4`);
  });
});

describe('the place of a loader', () => {
  const options: LoaderOptions<number, number[]> = { ...plain, batchSize: 2, shuffle: true };

  it('is the next batch while a loop is open, and the next epoch for the next loop', async () => {
    const loader = new DataLoader(count(6), options);
    const orders = await several(new DataLoader(count(6), options), 6);
    for await (const batch of loader) {
      expect(batch).toEqual(orders[0]);
      break;
    }
    expect(loader.state()).toMatchObject({ epoch: 0, position: 2 });
    // As in PyTorch, an epoch that was left is over, unless it is restored.
    expect(await all(loader)).toEqual(orders.slice(3));
    loader.restore({ ...loader.state(), epoch: 0, position: 2 });
    expect(await all(loader)).toEqual(orders.slice(1, 3));
  });

  it('belongs to the latest of loops that overlap, and each has all of its epoch', async () => {
    const loader = new DataLoader(count(6), options);
    const orders = await several(new DataLoader(count(6), options), 6);
    const [first, second] = [loader[Symbol.asyncIterator](), loader[Symbol.asyncIterator]()];
    const seen: unknown[][] = [[], []];
    for (let i = 0; i < 2; i++)
      for (const [j, loop] of [first, second].entries()) seen[j]?.push((await loop.next()).value);
    expect(loader.state()).toMatchObject({ epoch: 1, position: 4 });
    seen[0]?.push(...(await all(first)));
    expect(loader.state()).toMatchObject({ epoch: 1, position: 4 });
    seen[1]?.push(...(await all(second)));
    expect(seen).toEqual([orders.slice(0, 3), orders.slice(3)]);
    expect(loader.state()).toMatchObject({ epoch: 2, position: 0 });
  });

  it('has a size where the data has a length', () => {
    expect(new DataLoader(count(7), { batchSize: 3 }).size).toBe(3);
    expect(new DataLoader(count(7), { batchSize: 3, dropLast: true }).size).toBe(2);
    expect(new DataLoader(new Set([1])).size).toBeNull();
  });
});
