import { describe, expect, it } from 'vitest';
import { help, optionsFrom, syntax } from '../../demo/options.ts';
import { UsageError } from '../../tools/commandLine.mjs';

describe('options of npm start', () => {
  it('train a GPT and an LSTM on the embedded text where nothing is said', () => {
    expect(optionsFrom({})).toEqual({
      text: null,
      models: ['gpt', 'lstm'],
      config: 'default',
      steps: null,
      stopAfter: null,
      seed: null,
      out: 'weft-out',
      saveEvery: 30,
      resume: null,
      sample: { prompt: null, tokens: 400, temperature: 0.8, topK: null },
      checkpoint: null,
      tune: false,
      json: false,
      browser: false,
    });
  });

  it('are read from text', () => {
    const options = optionsFrom({
      model: ['rnn', 'gru'],
      steps: '20',
      seed: '0',
      sample: 'fn main',
      checkpoint: 'a.safetensors',
      temperature: '0',
      'top-k': '5',
    });
    expect(options).toMatchObject({ models: ['rnn', 'gru'], steps: 20, seed: 0 });
    expect(options.sample).toEqual({ prompt: 'fn main', tokens: 400, temperature: 0, topK: 5 });
  });

  it('go on in the folder of the checkpoint', () => {
    expect(optionsFrom({ resume: 'runs/1/gpt.safetensors' }).out).toBe('runs/1');
    expect(optionsFrom({ resume: 'gpt.safetensors' }).out).toBe('.');
    expect(optionsFrom({ resume: 'runs/1/gpt.safetensors', out: 'here' }).out).toBe('here');
  });

  it.each([
    [{ model: ['gtp'] }, '--model takes gpt, lstm, gru, rnn, not "gtp"'],
    [{ config: 'large' }, '--config takes default, nanogpt-cpu, not "large"'],
    [{ steps: '0' }, '--steps takes a whole number from 1 on, not "0"'],
    [{ steps: '1.5' }, '--steps takes a whole number from 1 on, not "1.5"'],
    [{ seed: ' ' }, '--seed takes a whole number from 0 on, not " "'],
    [{ temperature: '-1' }, '--temperature takes a number of at least 0, not "-1"'],
    [{ temperature: 'hot' }, '--temperature takes a number of at least 0, not "hot"'],
    [{ sample: 'x' }, '--sample needs a trained model: add --checkpoint FILE'],
    [{ checkpoint: 'x' }, 'to train on, use --resume FILE'],
    [{ resume: 'x', model: ['gpt'] }, 'leave out --model'],
    [{ resume: 'x', seed: '1' }, 'leave out --seed'],
    [{ resume: 'x', tune: true }, 'leave out --tune'],
    [{ sample: 'x', checkpoint: 'y', tune: true }, '--sample trains nothing: leave one of them out'],
  ])('that make no sense are refused: %o', (values, message) => {
    expect(() => optionsFrom(values)).toThrow(UsageError);
    expect(() => optionsFrom(values)).toThrow(message);
  });

  it('are all in the help', () => {
    for (const name of Object.keys(syntax)) expect(help).toContain(`--${name}`);
    for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(120);
  });
});
