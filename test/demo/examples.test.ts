import { beforeAll, describe, expect, it } from 'vitest';
import { Draw } from '../../demo/frame/draw.ts';
import { atLeast, atMost, within } from '../../demo/frame/example.ts';
import { Plot } from '../../demo/frame/index.ts';
import type { LabHost } from '../../demo/frame/lab.ts';
import { optionsFrom, type Values } from '../../demo/frame/options.ts';
import { drawn } from '../../demo/frame/picture.ts';
import { exampleNames, loadExample } from '../../demo/frame/registry.ts';
import { figure, figureTable, misses } from '../../demo/frame/report.ts';
import { runTrial } from '../../demo/frame/run.ts';
import { wavFile } from '../../demo/frame/wav.ts';
import readme from '../../README.md?raw';
import { init } from '../../src/index.ts';
import { UsageError } from '../../tools/commandLine.mjs';
import { profile } from '../support/environment.ts';

beforeAll(() => init({ profile, limits: 'default' }));

/** A host that keeps what is printed and written. */
function quietHost() {
  const printed: string[] = [];
  const files = new Map<string, string>();
  const host: LabHost = {
    runtime: 'a test',
    print: (text = '') => printed.push(text),
    progress: () => {},
    readFile: () => Promise.reject(new Error('examples are given their text')),
    writeFile: async (folder, name, bytes) => {
      files.set(`${folder}/${name}`, new TextDecoder().decode(bytes));
      return `${folder}/${name}`;
    },
    sources: async () => ({ 'src/a.ts': 'export const a = 1;\n'.repeat(2000) }),
  };
  return { host, printed, files };
}
const options = { seed: 1, steps: null, out: 'out', text: null };

describe('the example', () => {
  it.each(exampleNames)(
    '%s reaches the bars of its reduced form, and draws a picture that has a description',
    async (name) => {
      const { host, printed, files } = quietHost();
      const example = await loadExample(name);
      const result = await runTrial(name, example, example.reduced, { ...options, file: name }, host);
      expect(printed.at(-1)).toBe('\nThe claim held.');
      expect(result).toMatchObject({
        example: name,
        claim: example.claim,
        held: true,
        seed: 1,
        picture: `out/${name}.svg`,
      });
      expect(Object.keys(example.full.bars).length).toBeGreaterThan(1);
      // Both sides of the claim have a bar.
      for (const side of [result.metrics, result.baseline])
        expect(Object.keys(example.reduced.bars).some((bar) => Object.hasOwn(side, bar))).toBe(true);
      const svg = files.get(result.picture) as string;
      expect(svg).toMatch(/^<svg .*role="img" aria-labelledby="title description"/);
      expect(svg.match(/<title id="title">(.+)<\/title>/)?.[1]?.length).toBeGreaterThan(5);
      expect(svg.match(/<desc id="description">(.+)<\/desc>/)?.[1]?.length).toBeGreaterThan(40);
      // A text may speak of NaN; no place or size may be one.
      expect(svg).not.toMatch(/="[^"]*(NaN|Infinity|undefined)/);
      expect(readme).toContain(`npm run example ${name}`);
    },
  );

  it("char-rnn learns a text of the user's, which is held against bars of its own, and writes on", async () => {
    const example = await loadExample('char-rnn');
    const { settings } = example.reduced;
    const trial = { settings: { ...settings, steps: 60, hidden: 24 }, bars: { 'no such figure': atLeast(1) } };
    const run = (text: string, host: LabHost) =>
      runTrial('char-rnn', example, trial, { ...options, file: 'text', text }, host);
    // What follows a letter depends on the one before it.
    const text = 'aabbccdd\n\n'.repeat(500);
    const { host, printed, files } = quietHost();
    const { held, metrics, baseline } = await run(text, host);
    expect(held).toBe(true);
    // A bigram model is never sure: of each character there are two in a row.
    expect(baseline['bigram, nats per character']).toBeGreaterThan(0.5);
    expect(metrics['validation, nats per character']).toBeLessThan(0.4);
    expect(metrics).not.toHaveProperty('pieces that are balanced');
    expect(printed.filter((line) => /^ {4}[a-d\s]+▸ /m.test(line))).toHaveLength(3);
    expect(files.get('out/text.svg')).toContain('far in the line');
    await expect(run(text.slice(0, 1500), host)).rejects.toThrow('its first nine tenths are 1350 characters');
  });

  it('files are all in the registry', () => {
    const files = Object.keys(import.meta.glob('../../demo/examples/*.ts')).map(
      (path) => path.match(/([\w-]+)\.ts$/)?.[1],
    );
    expect(files.sort()).toEqual([...exampleNames].sort());
  });
});

describe('what came out', () => {
  const figures = { metrics: { lstm: 0.9712 }, baseline: { rnn: 0.5 } };

  it('misses a bar on either side of it, or where it is no number', () => {
    expect(misses(figures, { lstm: atLeast(0.97), rnn: atMost(0.5) })).toEqual([]);
    expect(misses(figures, { lstm: atLeast(0.98), rnn: atMost(0.4) })).toEqual([
      'lstm is 0.9712, not ≥ 0.98',
      'rnn is 0.5, not ≤ 0.4',
    ]);
    expect(misses(figures, { rnn: within(0.02, 0.9) })).toEqual(['rnn is 0.5, not 0.88 to 0.92']);
    expect(misses({ metrics: { lstm: Number.NaN }, baseline: {} }, { lstm: atLeast(0) })).toHaveLength(1);
    expect(() => misses(figures, { gru: atLeast(1) })).toThrow('the bar "gru" has no figure; there are lstm,rnn');
    expect(() => misses({ metrics: { a: 1 }, baseline: { a: 1 } }, {})).toThrow('two figures have the name "a"');
  });

  it('is shown beside its bar', () => {
    expect(figureTable(figures, { lstm: atLeast(0.98) })).toBe(
      [
        '                  reached  bar     held',
        '  lstm             0.9712  ≥ 0.98  NO',
        '  rnn (baseline)      0.5',
      ].join('\n'),
    );
    expect([0, 1.5, 0.12345, 1.234e-22, 123456].map(figure)).toEqual(['0', '1.5', '0.1235', '1.23e-22', '1.23e+5']);
  });
});

/** A page has no files. */
describe('the table that is committed', () => {
  it('has a line for each example and a row for each figure, bold where it missed its bar; a new run takes the place of an old one', async () => {
    const { record } = await import('../../demo/frame/record.ts');
    const { mkdtemp, readFile } = await import('node:fs/promises');
    const { tmpdir } = await import('node:os');
    const folder = await mkdtemp(`${tmpdir()}/weft-examples-`);
    const result = (example: string, seed: number, value: number) => ({
      ...{ example, claim: 'It works', held: value >= 0.95, baseline: { 'window of 4': 0.3 }, seed, seconds: seed },
      ...{ metrics: { 'window of 15': value }, picture: `${folder}/${example}.svg` },
    });
    const table = await record(folder, 'truncation', 'here', [result('truncation', 1, 0.5)]);
    await record(folder, 'clipping', 'there', [{ ...result('clipping', 1, 1), metrics: {}, baseline: {} }]);
    await record(folder, 'truncation', 'here', [result('truncation', 1, 0.99), result('truncation', 2, 0.9)]);
    const text = await readFile(table, 'utf8');
    expect(text).toContain('| [truncation](#truncation) | It works | 1 of 2 seeds | 1 – 2 |');
    expect(text).toContain(
      '| window of 15 | 0.99 | **0.9** | ≥ 0.95 |\n| window of 4 (baseline) | 0.3 | 0.3 | ≤ 0.4 |',
    );
    expect(text).toContain('![It works](truncation.svg)');
    expect(text.indexOf('## clipping')).toBeLessThan(text.indexOf('## truncation'));
    expect(text).toMatch(/^here\.$/m);
    expect(text).not.toContain(folder);
  });
});

describe('a picture', () => {
  it('has charts in rows, a legend, and texts that are no markup', async () => {
    const chart = { width: 100, height: 50, marks: [Plot.dot([[1, 2]])] };
    const picture = {
      title: 'a < b & c',
      description: '<b>',
      legend: { 'R&D': '#000' },
      charts: [chart, chart, chart],
      columns: 2,
    };
    const svg = await drawn(picture);
    expect(svg).toContain('<title id="title">a &lt; b &amp; c</title>\n<desc id="description">&lt;b&gt;</desc>');
    expect(svg).toContain('R&amp;D');
    expect(
      [...svg.matchAll(/<g transform="translate\((\d+), (\d+)\)"><svg/g)].map(([, x, y]) => [Number(x), Number(y)]),
    ).toEqual([
      [16, 72],
      [140, 72],
      [16, 146],
    ]);
  });
});

describe('a WAV file', () => {
  it('holds one channel of 16 bits, in the places that RIFF has for them', () => {
    const bytes = wavFile(Float32Array.of(0, 0.5, -1, 3, -2), 4000);
    const view = new DataView(bytes.buffer);
    const word = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
    expect([0, 8, 12, 36].map(word)).toEqual(['RIFF', 'WAVE', 'fmt ', 'data']);
    // What follows RIFF, the bytes of the format and those of the data; the rate and the bytes of a second.
    expect([4, 16, 40, 24, 28].map((at) => view.getUint32(at, true))).toEqual([bytes.length - 8, 16, 10, 4000, 8000]);
    // PCM, channels, bytes of a sample, bits of a sample.
    expect([20, 22, 32, 34].map((at) => view.getUint16(at, true))).toEqual([1, 1, 2, 16]);
    expect(bytes.length).toBe(44 + 10);
    const samples = [0, 1, 2, 3, 4].map((i) => view.getInt16(44 + 2 * i, true));
    expect(samples).toEqual([0, 16384, -32767, 32767, -32767]);
  });
});

describe('numbers that are drawn', () => {
  it('repeat with seed and stream, and lie where they are to', () => {
    const some = (seed: number, stream: number) => {
      const draw = new Draw(seed, stream);
      return Array.from({ length: 3000 }, () => draw.uniform(2, 3));
    };
    expect(some(1, 1)).toEqual(some(1, 1));
    expect(new Set([...some(1, 1), ...some(1, 2), ...some(2, 1)]).size).toBeGreaterThan(8900);
    expect(some(3, 3).every((value) => value >= 2 && value < 3)).toBe(true);
    const draw = new Draw(7);
    const counts = [0, 0, 0];
    for (let i = 0; i < 9000; i++) (counts[draw.below(3)] as number)++;
    // 3000 each, give or take four standard deviations of 45.
    for (const count of counts) expect(Math.abs(count - 3000)).toBeLessThan(180);
    expect([...draw.shuffled([1, 2, 3, 4])].sort()).toEqual([1, 2, 3, 4]);
  });
});

describe('options of npm run example', () => {
  it('name examples, or list them', () => {
    expect(optionsFrom([], {})).toMatchObject({ names: [], list: true, json: false });
    expect(optionsFrom(['truncation'], { seed: '3', seeds: '2', steps: '9' })).toMatchObject({
      names: ['truncation'],
      ...{ list: false, seeds: [3, 4], steps: 9, out: 'weft-out', record: false },
    });
    expect(optionsFrom([], { all: true })).toMatchObject({ names: exampleNames, record: true, seeds: [1] });
    expect(optionsFrom([], { all: true, steps: '9' })).toMatchObject({ record: false });
  });

  const cases: readonly (readonly [names: string[], values: Values, message: string])[] = [
    [['trunkation'], {}, 'there is no example "trunkation"; is truncation meant?'],
    [['x'], {}, `There are ${exampleNames[0]}`],
    [[], { steps: '3' }, '--steps needs the name of an example'],
    [['truncation'], { all: true }, '--all runs all examples: leave out "truncation"'],
    [['truncation'], { record: true, steps: '3' }, 'leave out --steps'],
    [['char-rnn'], { record: true, text: 'a.txt' }, '--record takes figures of data that is made: leave out --text'],
    [['truncation'], { seeds: '0' }, '--seeds takes a whole number from 1 on'],
    [['truncation'], { seed: '4294967296' }, 'below 2^32'],
  ];
  it.each(cases)('that make no sense are refused: %o %o', (names, values, message) => {
    expect(() => optionsFrom(names, values)).toThrow(UsageError);
    expect(() => optionsFrom(names, values)).toThrow(message);
  });
});

/** A page starts no processes. */
describe('npm run example', () => {
  it('has its names, its result and its verdict for programs', async () => {
    const [names, short, wrong, text] = await Promise.all([
      start('--list', '--json'),
      start('truncation', '--steps', '2', '--json', '--out', 'weft-out/test'),
      start('nonsense'),
      start('truncation', '--text', 'README.md'),
    ]);
    expect([names.code, names.last]).toEqual([0, [...exampleNames]]);
    // Two steps teach nothing.
    expect([short.code, Object.keys(short.last as object)]).toEqual([
      1,
      ['example', 'claim', 'held', 'metrics', 'baseline', 'seed', 'seconds', 'picture'],
    ]);
    expect(short.last).toMatchObject({ held: false, picture: 'weft-out/test/truncation.svg' });
    expect(short.errors.replace(/\s+/g, ' ')).toContain('did not hold (trained for 2 steps instead of 400)');
    expect([wrong.code, wrong.last]).toEqual([2, null]);
    expect(wrong.errors).toContain('weft: there is no example "nonsense"');
    expect([text.code, text.errors]).toEqual([
      2,
      expect.stringContaining('weft: truncation makes its own data: leave out --text'),
    ]);
  });
});

async function start(...args: string[]): Promise<{ code: number | null; errors: string; last: unknown }> {
  const { spawn } = await import('node:child_process');
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['run', '-A', 'demo/frame/main.ts', ...args]);
    let [output, errors] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.on('close', (code) =>
      resolve({ code, errors, last: JSON.parse(output.trimEnd().split('\n').at(-1) || 'null') }),
    );
  });
}
