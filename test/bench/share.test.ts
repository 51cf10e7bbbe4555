import { describe, expect, test } from 'vitest';
import { pack, unpack } from '../../bench/page/share.ts';
import { geometricMean, standings } from '../../bench/page/summary.ts';
import { asText, markdown, type Row } from '../../bench/rows.ts';

const row = (contender: string, medianMs: number | null, shape = '8x8'): Row => ({
  suite: 'kernels',
  name: 'softmax',
  shape,
  dtype: 'f32',
  runtime: 'a browser',
  adapter: 'an adapter',
  contender,
  medianMs,
  p10Ms: medianMs,
  p90Ms: medianMs,
  gflops: null,
  gbps: medianMs && 1 / medianMs,
  fractionOfLimit: null,
  dispatches: 1,
  submits: 1,
  buffers: 0,
  bufferBytes: 0,
  planBytes: null,
  maxError: 1e-7,
  rounds: 15,
  calls: 1,
  note: medianMs === null ? 'out of memory | lost' : '',
});

describe('a link to results', () => {
  const shared = {
    chosen: ['softmax 8x8'],
    contenders: ['weft'],
    variants: true,
    quick: false,
    rows: [row('weft', 2)],
  };

  test('holds them in characters that an address may have', async () => {
    const text = await pack(shared);
    expect(text).toMatch(/^[\w-]+$/);
    expect(await unpack(text)).toEqual(shared);
  });

  test('that was cut off, or is another text, gives nothing', async () => {
    const text = await pack(shared);
    for (const end of [-8, text.length / 2]) expect(await unpack(text.slice(0, end))).toBeNull();
    expect(await unpack('kernels')).toBeNull();
    expect(await unpack('%%%')).toBeNull();
  });
});

describe('standings', () => {
  test('compare weft with the fastest peer that finished', () => {
    const rows = [row('weft', 2), row('weft:rows', 1), row('tfjs', 8), row('jax-js', 3), row('onnxruntime-web', null)];
    expect(standings(rows)).toEqual([{ name: 'softmax', shape: '8x8', peer: 'jax-js', ratio: 1.5 }]);
  });

  test('leave out what has nobody to compare with', () => {
    expect(standings([row('weft', 2), row('tfjs', 8, '9x9'), row('tfjs', null)])).toEqual([]);
  });

  test('are averaged as ratios', () => {
    expect(geometricMean([4, 0.25, 8])).toBeCloseTo(2, 12);
  });
});

test('Markdown keeps its columns, whatever a note says', () => {
  const [device, , heading, , columns, rule, ...lines] = markdown([row('tfjs', null), row('weft', 2)]).split('\n');
  expect(device).toBe('**an adapter, a browser**');
  expect(heading).toBe('#### softmax 8x8');
  const cells = (line = '') => line.split(/(?<!\\)\|/).length;
  expect([rule, ...lines].map(cells)).toEqual([rule, ...lines].map(() => cells(columns)));
  expect(lines.map((line) => line.split(' ')[1])).toEqual(['weft', 'tfjs']);
});

test('a table has the columns in which a row of it says something', () => {
  const titles = (rows: Row[]) => asText([rows])[0]?.titles;
  const kernel = titles([row('weft', 2), { ...row('tfjs', 8), submits: 3 }]);
  expect(kernel).toEqual(expect.arrayContaining(['contender', 'median', 'submits']));
  expect(kernel).not.toContain('buffers made');
  expect(titles([{ ...row('weft', null), planBytes: 8, suite: 'memory' }])).not.toContain('median');
  const step = { ...row('weft', 2), suite: 'training steps', buffers: 0, bufferBytes: 0 } as const;
  expect(titles([step])).toEqual(expect.arrayContaining(['buffers made', 'their bytes']));
});
