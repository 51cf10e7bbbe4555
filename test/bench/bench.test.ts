import { describe, expect, it } from 'vitest';
import { type Host, runBench } from '../../bench/bench.ts';
import type { PeerModule } from '../../bench/peers/library.ts';
import type { Row } from '../../bench/rows.ts';
import { init } from '../../src/index.ts';

/** A host that keeps what it is told, with peers that are made up here. */
function host(peers: Host['peers'] = {}) {
  const rows: Row[] = [];
  const messages: string[] = [];
  const made: Host = {
    runtime: 'a test',
    peers,
    stopped: false,
    progress: () => {},
    rows: (more) => rows.push(...more),
    message: (text) => messages.push(text),
  };
  return { made, rows, messages };
}

/** A small case: the others take long on a software adapter. */
const only = (contenders: string) => ({ only: [`^lstm cell B16.* (${contenders})$`], quick: true, variants: false });

/** A peer on a device of its own whose runs do nothing, and whose results are given. */
const peer = (results: () => Promise<Record<string, ArrayLike<number>>>): PeerModule => ({
  open: async () => {
    const adapter = (await navigator.gpu.requestAdapter()) as GPUAdapter;
    const gpu = await adapter.requestDevice();
    return { gpu, prepare: async () => ({ run: () => {}, results, dispose: () => gpu.destroy() }) };
  },
});

describe('a run', () => {
  it('measures the device, then weft, the variants that a pattern names, and what tuning finds, and checks the results', async () => {
    const { made, rows } = host();
    expect(await runBench(only('weft|weft:\\w+'), made)).toEqual(rows);
    expect(rows.filter(({ suite }) => suite === 'limits').map(({ name }) => name)).toEqual([
      'peak arithmetic',
      'copy',
      'copy',
      'empty dispatch',
      'empty submit',
    ]);
    const measured = rows.filter(({ suite }) => suite === 'kernels');
    const contenders = measured.map(({ contender }) => contender);
    expect(contenders).toEqual(expect.arrayContaining(['weft', 'weft:sequence', 'weft:tuned']));
    // The kernels of a GPU stand beside those of a software adapter.
    expect(contenders.includes('weft:counted')).toBe((await init()).profile.selection === 'software');
    expect(measured.find(({ contender }) => contender === 'weft:tuned')?.note).toMatch(
      // What wins a race of 100 ms differs from run to run.
      /; (as by rule|[A-Za-z]+ [A-Z\d ]+: \w+)/,
    );
    const [row] = measured as [Row];
    expect(row).toMatchObject({ name: 'lstm cell', contender: 'weft', dispatches: 2, submits: 1, rounds: 5 });
    expect(row.medianMs).toBeGreaterThan(0);
    expect(row.p10Ms).toBeLessThanOrEqual(row.medianMs as number);
    expect(row.p90Ms).toBeGreaterThanOrEqual(row.medianMs as number);
    expect(row.maxError).toBeGreaterThan(0);
    expect(row.maxError).toBeLessThan(1e-5);
    expect(row.gflops).toBeCloseTo((row.fractionOfLimit as number) * (rows[0]?.gflops as number));
  });

  it('goes on where a contender fails, and its row says why', async () => {
    const { made, rows, messages } = host({
      tfjs: () => Promise.reject(new Error('not installed')),
      'jax-js': async () => peer(() => Promise.reject(new Error('no such op\n  at somewhere'))),
      'onnxruntime-web': async () =>
        peer(async () => ({ h: new Float32Array(16 * 128), c: new Float32Array(16 * 128) })),
    });
    await runBench(only('weft|tfjs|jax-js|onnxruntime-web'), made);
    expect(messages).toEqual(["tfjs can't be measured: not installed"]);
    const notes = new Map(rows.map(({ contender, note, medianMs }) => [contender, { note, medianMs }]));
    expect(notes.get('tfjs')).toEqual({ note: 'not installed', medianMs: null });
    expect(notes.get('jax-js')).toEqual({ note: 'no such op', medianMs: null });
    expect(notes.get('onnxruntime-web')).toEqual({ note: expect.stringMatching(/^wrong by 1\.0e\+0/), medianMs: null });
    expect(notes.get('weft')?.medianMs).toBeGreaterThan(0);
  });

  it('says so where nothing matches, or a pattern is none', async () => {
    await expect(runBench(only('pytorch'), host().made)).rejects.toThrow(
      "--only: nothing matches '^lstm cell B16.* (pytorch)$'; a pattern is looked for in 'name shape contender'",
    );
    await expect(runBench({ ...only(''), only: ['matmul ('] }, host().made)).rejects.toThrow(
      /--only: Invalid regular expression.*; write a backslash before/,
    );
  });

  it('shows that what attention keeps grows as T does, forward and with its gradient', async () => {
    const { made, rows } = host();
    await runBench({ only: ['memory'], quick: true, variants: false }, made);
    for (const name of ['attention forward', 'attention forward+backward']) {
      const planned = (contender: string) =>
        rows
          .filter((row) => row.suite === 'memory' && row.name === name && row.contender === contender)
          .map(({ shape, planBytes }) => [Number(/T(\d+)/.exec(shape)?.[1]), planBytes as number] as const);
      const [first, ...longer] = planned('weft') as [readonly [number, number], ...(readonly [number, number])[]];
      expect(longer.map(([T]) => T)).toEqual([512, 1024, 2048, 4096]);
      expect(first[1]).toBeGreaterThan(0);
      for (const [T, bytes] of longer) expect(bytes).toBe((first[1] * T) / first[0]);
      for (const [T, bytes] of planned('unfused')) expect(bytes % (4 * 4 * T * T)).toBe(0);
    }
  });
});
