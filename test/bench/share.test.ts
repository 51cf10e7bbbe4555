import { describe, expect, test } from 'vitest';
import { LinkError, pack, type Shared, unpack } from '../../bench/page/share.ts';
import { geometricMean, standings } from '../../bench/page/summary.ts';
import { asText, markdown, type Row, tables } from '../../bench/rows.ts';

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

  test('that was cut off, or is another text, says so', async () => {
    const text = await pack(shared);
    for (const link of [text.slice(0, -8), text.slice(0, text.length / 2), 'kernels', '%%%', '']) {
      await expect(unpack(link)).rejects.toThrow(LinkError);
      await expect(unpack(link)).rejects.toThrow('The link holds no results that can be read: was it cut off?');
    }
  });

  test.each<[what: string, given: unknown, message: string]>([
    ['nothing', null, 'it must be an object, got null'],
    ['a list', [], 'it must be an object, got an array of 0'],
    ['no rows', { ...shared, rows: undefined }, 'it.rows must be an array of at most 3000 rows, got nothing'],
    ['too many rows', { ...shared, rows: new Array(3001).fill(shared.rows[0]) }, 'it.rows must be an array of at most'],
    ['a row that is none', { ...shared, rows: [null] }, 'it.rows[0] must be an object, got null'],
    ['a choice that is none', { ...shared, chosen: [5] }, 'it.chosen must be an array, each of it a string'],
  ])('whose results are none says where: %s', async (_, given, message) => {
    await expect(unpack(await pack(given as Shared))).rejects.toThrow(LinkError);
    await expect(unpack(await pack(given as Shared))).rejects.toThrow(message);
  });

  test('is refused where any field of a row is missing or odd, and what it shows can be shown', async () => {
    const whole = shared.rows[0] as Row;
    const odd = [undefined, null, true, 0, -1, 1e300, 5e-324, '', 'x'.repeat(20_000), [], [1], {}, { a: 1 }];
    let shown = 0;
    for (const name of Object.keys(whole)) {
      for (const value of odd) {
        const link = await pack({ ...shared, rows: [{ ...whole, [name]: value } as Row, row('tfjs', 8)] });
        const { rows } = await unpack(link).catch((error) => {
          expect(error).toBeInstanceOf(LinkError);
          expect(error.message).toContain(`it.rows[0].${name} must be `);
          expect(error.message.length).toBeLessThan(300);
          return { rows: null };
        });
        if (!rows) continue;
        shown++;
        expect(() => [standings(rows), asText(tables(rows)), markdown(rows)]).not.toThrow();
        for (const { ratio } of standings(rows)) expect(Math.abs(Math.log2(ratio))).toBeLessThan(100);
      }
    }
    // Texts may be any, and figures may be none.
    expect(shown).toBeGreaterThan(20);
  });

  test('may hold the results that are kept', async () => {
    const kept = import.meta.glob<readonly Row[]>(['../../bench/results/*.json', '!**/scaling-*'], {
      import: 'default',
      eager: true,
    });
    expect(Object.keys(kept).length).toBeGreaterThan(0);
    for (const rows of Object.values(kept))
      expect(await unpack(await pack({ ...shared, rows }))).toEqual({ ...shared, rows });
  });

  test('that would unpack to much is refused before it has', async () => {
    const zip = async (size: number) => {
      const stream = new Blob([new Uint8Array(size)]).stream().pipeThrough(new CompressionStream('gzip'));
      return new Uint8Array(await new Response(stream).arrayBuffer());
    };
    // The end of the packed bytes is broken, which nobody sees who stops before it.
    const bytes = (await zip(1e8)).fill(0xff, -50_000);
    const link = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
    await expect(unpack(link)).rejects.toThrow('The link unpacks to more than 4 MB');
    const small = (await zip(1e6)).fill(0xff, -200);
    const broken = btoa(Array.from(small, (byte) => String.fromCharCode(byte)).join(''));
    await expect(unpack(broken)).rejects.toThrow('was it cut off?');
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
