import { describe, expect, it } from 'vitest';
import type { Row } from '../../bench/rows.ts';

const row = (contender: string, more: Partial<Row> = {}): Row => ({
  suite: 'training steps',
  name: 'gpt step',
  shape: '2 layers, E64, 4 heads, T32, B4, V64',
  dtype: 'f32',
  runtime: 'Deno 2.9.5',
  adapter: 'llvmpipe (LLVM 15.0.6, 256 bits)',
  contender,
  medianMs: 24.5,
  p10Ms: 23.1,
  p90Ms: 26.9,
  gflops: 3.4,
  gbps: 1.2,
  fractionOfLimit: 0.06,
  dispatches: 53,
  submits: 1,
  buffers: 0,
  bufferBytes: 0,
  planBytes: 1_234_567,
  maxError: 1e-6,
  rounds: 15,
  calls: 3,
  note: '',
  ...more,
});
const rows = [
  row('weft'),
  row('weft:tuned', {
    note: 'matmul M1 N128 K32: registers4; attentionForward T64 D16: rows; and a good many words more',
  }),
  row('jax-js', { medianMs: 158, buffers: 1234, bufferBytes: 123_456_789 }),
];

/** A page has no terminal: the module asks for the process. */
describe('a table of npm run bench', () => {
  it('stands in 80 columns, with every figure and note', async () => {
    const { text } = await import('../../bench/terminal.ts');
    const wide = text(rows, 400);
    expect(Math.max(...wide.split('\n').map((line) => line.length))).toBeGreaterThan(80);
    const narrow = text(rows, 80);
    for (const line of narrow.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    const words = (table: string) => new Set(table.replace('note', '').split(/\s+/));
    expect(words(narrow)).toEqual(words(wide));
    // In each block of columns, each contender has a line.
    expect(narrow.match(/^ {2}jax-js /gm)?.length).toBe(narrow.match(/^ {2}contender /gm)?.length);
  });

  it('is one block of columns where they fit', async () => {
    const { text } = await import('../../bench/terminal.ts');
    const small = [
      row('weft', { gflops: null, gbps: null, dispatches: null, submits: null, planBytes: null, buffers: null }),
    ];
    expect(text(small, 80).split('\n')).toHaveLength(3);
  });
});
