import { beforeAll, describe, expect, it } from 'vitest';
import { type RunInfo, readCheckpoint, restoreTraining, writeCheckpoint } from '../../demo/checkpoint.ts';
import { type Config, configOf } from '../../demo/configs.ts';
import { JobError } from '../../demo/host.ts';
import { Training } from '../../demo/training.ts';
import { io, readAll } from '../../src/index.ts';
import { CharVocabulary } from '../../src/text/index.ts';
import { profile, soak } from '../support/environment.ts';
import { announceReads, useGpu } from '../support/gpu.ts';

/**
 * Good checkpoints, spoiled in each place in each way: what comes of it is a run that goes on, or a JobError that says in
 * a few words what is wrong.
 */

useGpu();

const text = 'fn main() { let weft = loom + shuttle; }\n'.repeat(5);
const vocabulary = new CharVocabulary(text);
const ids = vocabulary.encode(text);
const common = { context: 8, batch: 2 };
const configs: Record<string, Config> = {
  gpt: { ...configOf('default', 'gpt', 20), sizes: { layers: 1, heads: 2, width: 8 }, ...common },
  lstm: { ...configOf('default', 'lstm', 20), sizes: { layers: 1, embedding: 4, hidden: 6 }, ...common },
};
const done = 3;

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
type Parts = { readonly json: Json; readonly tensors: Readonly<Record<string, io.HostTensor>> };
const good: Record<string, Parts> = {};

beforeAll(async () => {
  for (const [name, config] of Object.entries(configs)) {
    const training = new Training(config, vocabulary.size, ids, 7);
    for (let i = 0; i < done; i++) {
      announceReads(1);
      training.losses.push((await readAll([await training.step()]))[0]?.[0] as number);
    }
    const info: RunInfo = {
      config,
      profile,
      choices: { softmax: 'rows' },
      seed: 7,
      text: 'ab',
      textName: 'a',
      vocabulary,
    };
    announceReads(1);
    const { tensors, metadata } = io.readSafetensors(await writeCheckpoint(training, info));
    good[name] = { json: JSON.parse(metadata.weft as string), tensors };
  }
});

/** A way to spoil a checkpoint, and whether the run can go on all the same. */
interface Spoil {
  readonly what: string;
  readonly parts: Parts;
  readonly loads: boolean;
  /** What the message names, where a field by itself is wrong. */
  readonly named?: string;
}

const deep = (levels: number): Json => {
  let value: Json = [];
  for (let i = 0; i < levels; i++) value = [value];
  return value;
};
const odd: readonly Json[] = [
  ...[null, true, 0, -1, 1, 0.5, 1e9, 2 ** 53, 1e300, '', 'x', 'gru', '7', 'x'.repeat(20_000), '\ud800'],
  ...[[], [0], [1, 2], [-1, 2 ** 32], [0.5, 0.5, 0.5], ['x', null], {}, { layers: 1 }, { x: 'y' }, deep(2000)],
];

/** What a field may hold with which a run goes on. Sizes, vocabulary and model fit the tensors of the one run alone. */
const isInteger = (least: number) => (value: Json | undefined) =>
  Number.isSafeInteger(value) && (value as number) >= least;
const isNumber = (least: number, most: number) => (value: Json | undefined) =>
  typeof value === 'number' && value >= least && value <= most;
const isPair = (fits: (value: Json) => boolean) => (value: Json | undefined) =>
  Array.isArray(value) && value.length === 2 && value.every(fits);
const accepted: Readonly<Record<string, (value: Json | undefined) => boolean>> = {
  version: (value) => value === 1,
  randomVersion: (value) => value === undefined || isInteger(1)(value),
  profile: (value) => value === 'gpu' || value === 'software',
  choices: (value) =>
    value === undefined ||
    (typeof value === 'object' &&
      JSON.stringify(value) !== 'null' &&
      ['{}', '{"x":"y"}'].includes(JSON.stringify(value))),
  'choices.softmax': (value) => value === undefined || typeof value === 'string',
  seed: isInteger(0),
  text: (value) => typeof value === 'string',
  textName: (value) => value === undefined || value === null || typeof value === 'string',
  // The head count of a GPT leaves no trace in its tensors, the context of an LSTM neither.
  'config.sizes.heads': (value) => value === 1,
  'config.context': (value) => value === 1,
  'config.batch': (value) => isInteger(1)(value) && (value as number) <= 4096,
  'config.steps': isInteger(1),
  'config.lr': isNumber(1e-12, 1000),
  'config.finalLr': isNumber(0, 1000),
  'config.warmup': isInteger(0),
  'config.betas': isPair((value) => isNumber(0, 0.9999)(value)),
  'config.betas.0': isNumber(0, 0.9999),
  'config.betas.1': isNumber(0, 0.9999),
  'config.weightDecay': isNumber(0, 1000),
  'config.clip': isNumber(1e-12, 1e9),
  ...Object.fromEntries(
    ['loader', 'random'].flatMap((name) => [
      [`${name}.position`, isInteger(0)],
      [`${name}.seed`, isPair((value) => isInteger(0)(value) && (value as number) < 2 ** 32)],
      ...[0, 1].map((i) => [`${name}.seed.${i}`, (value: Json) => isInteger(0)(value) && (value as number) < 2 ** 32]),
    ]),
  ),
};

/** The paths of all parts of a JSON value. */
function pathsOf(value: Json, path: readonly string[] = []): string[][] {
  const inner = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  const own = path.length > 0 ? [[...path]] : [];
  return [...own, ...inner.flatMap(([name, each]) => pathsOf(each as Json, [...path, name]))];
}

/** A copy with another value, or none, at the path. */
function withValue(value: Json, [name, ...rest]: readonly string[], put: Json | undefined): Json {
  if (name === undefined) return put as Json;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, Json>;
  if (rest.length > 0) copy[name] = withValue(copy[name] as Json, rest, put);
  else if (put !== undefined) copy[name] = put;
  else if (Array.isArray(copy)) copy.splice(Number(name), 1);
  else delete copy[name];
  return copy;
}

/** Whether a field can't hold such a value, whatever the others hold. */
function isWrongAlone([name, inner]: readonly string[], put: Json | undefined): boolean {
  const fitsOthers = typeof put === 'number' ? Math.abs(put) < 1e9 : typeof put === 'string';
  return !fitsOthers && name !== 'version' && name !== 'choices' && !(name === 'vocabulary' && inner === undefined);
}

const valueAt = (value: Json, path: readonly string[]) =>
  path.reduce<Json | undefined>((at, name) => (at as Record<string, Json>)[name], value);
const same = (a: Json | undefined, b: Json | undefined) => JSON.stringify(a) === JSON.stringify(b);

function spoiltFields({ json, tensors }: Parts): Spoil[] {
  const spoils = pathsOf(json).flatMap((path) =>
    [undefined, ...odd].map((put): Spoil => {
      const name = path.join('.');
      const isOwn = same(put, valueAt(json, path));
      const fits = (accepted[name]?.(put) ?? false) && !(name === 'config.context' && 'wpe.weight' in tensors);
      const loads = isOwn || fits;
      const said = put === undefined ? 'missing' : `${JSON.stringify(put).slice(0, 30)}`;
      const named = isWrongAlone(path, put) ? `weft.${path.slice(0, path[1] === 'sizes' ? 3 : 2).join('.')}` : '';
      return { what: `${name}: ${said}`, parts: { json: withValue(json, path, put), tensors }, loads, named };
    }),
  );
  const wholes = odd.map((put) => ({
    what: `all: ${JSON.stringify(put).slice(0, 30)}`,
    parts: { json: put, tensors },
    loads: false,
  }));
  const more = withValue(json, ['later'], 'what a later version adds');
  return [...spoils, ...wholes, { what: 'a field more', parts: { json: more, tensors }, loads: true }];
}

function spoiltTensors({ json, tensors }: Parts): Spoil[] {
  const spoil = (what: string, changed: Readonly<Record<string, io.HostTensor | undefined>>): Spoil => {
    const entries = Object.entries({ ...tensors, ...changed }).filter(
      (entry): entry is [string, io.HostTensor] => !!entry[1],
    );
    return { what, parts: { json, tensors: Object.fromEntries(entries) }, loads: false };
  };
  const zeros = (...shape: number[]): io.HostTensor => ({
    dtype: 'f32',
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });
  const each = Object.entries(tensors).flatMap(([name, { dtype, shape, data }]) => {
    const put = (what: string, value: io.HostTensor | undefined) => spoil(`${name}: ${what}`, { [name]: value });
    const last = data.length - 1;
    const other = dtype === 'f32' ? ('i32' as const) : ('f32' as const);
    return [
      put('missing', undefined),
      put('of rank + 1', { dtype, shape: [1, ...shape], data }),
      put('flat, one more', {
        dtype,
        shape: [data.length + 1],
        data: other === 'i32' ? new Float32Array(last + 2) : new Int32Array(last + 2),
      }),
      put('of another type', {
        dtype: other,
        shape,
        data: other === 'i32' ? Int32Array.from(data) : Float32Array.from(data),
      }),
      put('true', { dtype: 'bool', shape, data: Uint32Array.from(data, () => 1) }),
      ...(dtype === 'f32' ? [Number.NaN, Infinity, -Infinity] : []).map((value) =>
        put(`${value} at the end`, { dtype, shape, data: Float32Array.from(data).fill(value, last) }),
      ),
      spoil(`${name}: under another name`, { [name]: undefined, [`${name}x`]: { dtype, shape, data } }),
    ];
  });
  const step = (value: number): io.HostTensor => ({ dtype: 'i32', shape: [], data: Int32Array.of(value) });
  return [
    ...each,
    ...[-1, 0, done + 1, 2 ** 31 - 1].map((value) =>
      spoil(`optimizer.step: ${value}`, { 'optimizer.step': step(value) }),
    ),
    spoil('a tensor more', { more: zeros(2) }),
    spoil('a tensor more, with a long name', { ['x'.repeat(20_000)]: zeros(2) }),
    spoil('many tensors more', Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`more.${i}`, zeros(1)]))),
    spoil('a state of no parameter', { 'optimizer.state.999.exp_avg': zeros(2) }),
    spoil('more losses than steps', { losses: zeros(done + 1) }),
    spoil('losses in rows', { losses: zeros(done, 1) }),
    spoil('a tensor of rank 1000', { more: zeros(...Array.from({ length: 1000 }, () => 1)) }),
  ];
}

describe.each(Object.keys(configs))('a spoiled checkpoint of %s', (name) => {
  it('is refused in a few words, or the run goes on', async () => {
    const parts = good[name] as Parts;
    const spoils = [...spoiltFields(parts), ...spoiltTensors(parts)];
    expect(spoils.length).toBeGreaterThan(235);
    const wrong: string[] = [];
    for (const spoil of spoils) {
      const fault = await faultOf(spoil);
      if (fault) wrong.push(`${spoil.what}: ${fault}`);
    }
    expect(wrong).toEqual([]);
  });

  it('is refused in a few words where its description is no JSON, or hardly any', () => {
    const { tensors, json } = good[name] as Parts;
    const whole = JSON.stringify(json);
    const texts = [
      '',
      ' ',
      '{',
      'x'.repeat(20_000),
      whole.slice(0, -1),
      `${whole}x`,
      whole.replaceAll(':', ','),
      '['.repeat(1e6),
    ];
    for (const weft of texts)
      expect(refusal(io.writeSafetensors(tensors, { weft })), weft.slice(0, 30)).toMatch(/no JSON/);
    expect(refusal(io.writeSafetensors(tensors))).toMatch(/not one that `npm start` wrote/);
  });
});

it('a checkpoint of the first versions is read', () => {
  for (const { json, tensors } of Object.values(good)) {
    const { randomVersion, choices, textName, ...old } = json as Record<string, Json>;
    const { info } = readCheckpoint(io.writeSafetensors(tensors, { weft: JSON.stringify(old) }), 'old');
    expect(info).toMatchObject({ choices: {}, textName: null });
  }
});

/** What is wrong about how a spoiled checkpoint is taken; null where nothing is. */
async function faultOf({ parts: { json, tensors }, loads, named = '' }: Spoil): Promise<string | null> {
  const bytes = io.writeSafetensors(tensors, { weft: JSON.stringify(json) });
  if (!loads) {
    const message = refusal(bytes);
    if (message === null) return 'is taken';
    return message.includes(named) ? null : `is refused without ${named}: ${message}`;
  }
  try {
    const checkpoint = readCheckpoint(bytes, 'run');
    const { config } = checkpoint.info;
    const training = new Training(config, vocabulary.size, ids, 8);
    restoreTraining(training, checkpoint);
    // A whole step for each would take minutes.
    if (soak) {
      announceReads(1);
      await (await training.step()).item();
    }
    return null;
  } catch (error) {
    return `${error}`.slice(0, 600);
  }
}

/** The message with which a checkpoint is refused, null where it is not; any other error is thrown. */
function refusal(bytes: Uint8Array<ArrayBuffer>): string | null {
  try {
    readCheckpoint(bytes, 'run');
    return null;
  } catch (error) {
    if (!(error instanceof JobError)) throw error;
    expect(error.message).toMatch(/^run can't be used: /);
    expect(error.message).not.toMatch(/Cannot read|is not a function|is not iterable|Invalid (array|typed)/);
    expect(error.message.length, error.message).toBeLessThan(600);
    return error.message;
  }
}
