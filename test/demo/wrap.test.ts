import { describe, expect, it } from 'vitest';
import { configOf } from '../../demo/configs.ts';
import { embeddedName } from '../../demo/data.ts';
import { help } from '../../demo/options.ts';
import { headline, introduction, nothingLeft, quoted, results } from '../../demo/report.ts';
import { wrap } from '../../demo/wrap.ts';
import { TuneReport } from '../../src/insight/tuneReport.ts';
import { CharVocabulary } from '../../src/text/index.ts';

describe('wrap', () => {
  it('leaves lines that fit', () => {
    expect(wrap('a line\n\n  another', 10)).toBe('a line\n\n  another');
  });

  it('breaks between words, and puts the rest under the text', () => {
    expect(wrap('Text        one two three four', 24)).toBe('Text        one two\n            three four');
    expect(wrap('  loss curve   one two three four five', 30)).toBe(
      '  loss curve   one two three\n               four five',
    );
    expect(wrap('one two three', 9)).toBe('one two\n  three');
    expect(wrap('    │ one two three', 14)).toBe('    │ one two\n    │ three');
  });

  it('leaves a word whole that is longer than a line', () => {
    expect(wrap('see /a/very/long/path now', 10)).toBe('see\n  /a/very/long/path\n  now');
    expect(wrap('/a/very/long/path', 10)).toBe('/a/very/long/path');
  });

  it('loses and adds no words, whatever the width', () => {
    const text = 'GPT  2 layers, 4 heads, width 64: 117,000 parameters; context 64, batch 8';
    for (let columns = 1; columns < 80; columns++) {
      const lines = wrap(text, columns).split('\n');
      expect(lines.join(' ').split(/ +/)).toEqual(text.split(/ +/));
      for (const line of lines) expect(line.length <= columns || !/\S \S/.test(line.trim())).toBe(true);
    }
  });
});

describe('npm start on a terminal of 80 columns', () => {
  const data = {
    name: embeddedName,
    vocabulary: new CharVocabulary('abcdefg'),
    train: new Int32Array(412345),
    validation: new Int32Array(45816),
    bigram: 2.345,
    fingerprint: '',
  };
  const summary = {
    model: 'gpt',
    parameters: 117_000,
    steps: 1200,
    firstLoss: 4.6,
    finalLoss: 1.9,
    tokensPerSecond: 12_345.6,
    dispatchesPerStep: 53,
    submitsPerStep: 1,
    sample: '',
  };
  const checkpoint = 'weft-out/gpt.safetensors';
  const times = Object.fromEntries(
    ['tiled64', 'tiled32', 'registers4', 'registers8', 'rows'].map((name) => [name, 1.23]),
  );
  const tuned = {
    choice: 'attentionBackward T64 D16 causal',
    count: 2,
    favourite: 'tiled64',
    winner: 'rows',
    times,
    failed: {},
  };
  const said: [what: string, text: string][] = [
    ['the introduction', introduction(data, 'llvmpipe (LLVM 15.0.6, 256 bits)', 'Deno 2.9.5', 'software')],
    ['the headline', headline(configOf('default', 'lstm', null), 123_456)],
    ['the results', results({ ...summary, valLoss: 2.1, checkpoint }, 2.345, 'weft-out/gpt.svg')],
    ['the results of a bad run', results({ ...summary, valLoss: 3, checkpoint }, 2.345, 'weft-out/gpt.svg')],
    ['a run with nothing left to do', nothingLeft(1200, configOf('default', 'gpt', null), checkpoint, ' --text FILE')],
    ['a sample', quoted(`const ${'weft = loom; '.repeat(20)}`)],
    ['what tune has found', `${new TuneReport('llvmpipe (LLVM 15.0.6, 256 bits)', [tuned])}`],
  ];

  it.each(said)('breaks no line of %s within a word', (_, text) => {
    for (const line of wrap(text, 80).split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('has help that fits', () => {
    for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  });

  it('explains the words that a newcomer does not know', () => {
    const text = said.map(([, each]) => each).join('\n');
    expect(text).toContain('a software adapter (a driver that computes on the CPU)');
    expect(text).toContain('nats per character (a nat is 1.44 bits, and fewer are better)');
    expect(text).toContain('bigram counts reach: how often each character follows each');
    expect(text).toContain('53 dispatches (kernels started)');
  });
});

it('a run with nothing left to do says why', () => {
  const config = configOf('default', 'gpt', 300);
  expect(nothingLeft(300, config, 'a', '')).toContain(
    'a is finished: it has done all its 300 steps. Nothing was changed.',
  );
  expect(nothingLeft(400, config, 'a', '')).toContain('a has done 400 steps already. Nothing was changed.');
});
