import { expect, test } from 'vitest';
import readme from '../README.md?raw';
import { fillUniform } from '../src/core/random.ts';
import {
  type CheckpointState,
  compile,
  crossEntropy,
  currentDevice,
  DataLoader,
  DeviceLostError,
  io,
  manualSeed,
  models,
  nn,
  optim,
  padSequences,
  recover,
  tensor,
  text,
  train,
} from '../src/index.ts';
import { announceReads, generator, useGpu } from './support/gpu.ts';

useGpu();

const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code as string);

/** Runs an example of the README as it stands there, but for its imports and types; `given` is what it takes for granted. */
async function runExample(code: string | undefined, given: Readonly<Record<string, unknown>>): Promise<void> {
  const body = (code as string)
    .replace(/^import .*$/m, '')
    .replace('await init();', '')
    .replaceAll(': Tensor', '')
    .replace(/ as (const|\[Tensor, Tensor\])/, '')
    .replace('console.log(', 'log(');
  const run = new Function(...Object.keys(given), `return (async () => { ${body} })();`) as (
    ...given: unknown[]
  ) => Promise<void>;
  await run(...Object.values(given));
}

test('the first example in the README learns what comes next', async () => {
  const losses: number[] = [];
  manualSeed(1);
  announceReads(50);
  const log = (loss: number) => losses.push(loss);
  await runExample(examples[0], { compile, crossEntropy, nn, optim, tensor, log });
  expect(losses.length).toBe(50);
  expect(losses[0]).toBeGreaterThan(1.5);
  // Each digit fixes the next, so that the loss can go to 0.
  expect(losses.at(-1)).toBeLessThan(0.1);
});

test('the training loop in the README learns which of two numbers is larger', async () => {
  const points = Array.from({ length: 300 }, () => fillUniform(new Float32Array(2), 0, 1, generator));
  const losses: number[] = [];
  const kept: [model: number, optimizer: number, state: CheckpointState][] = [];
  manualSeed(1);
  announceReads(Infinity);
  await runExample(examples[1], {
    ...{ crossEntropy, DataLoader, io, nn, optim, train, points },
    keep: (model: Uint8Array, optimizer: Uint8Array, state: CheckpointState) =>
      kept.push([model.length, optimizer.length, state]),
    stop: new AbortController(),
    log: (_step: number, loss: number) => losses.push(loss),
  });
  // With 25 seeds: from 0.62 to 1.25 at first, from 0.16 to 0.22 at the end.
  expect(losses[0]).toBeGreaterThan(0.5);
  expect(losses.at(-1)).toBeLessThan(0.3);
  const { step, batches, isLast } = (kept.at(-1) as (typeof kept)[number])[2];
  // 200 steps, of which each epoch has 10.
  expect([step, batches, isLast]).toEqual([200, { epoch: 19, position: 300, seed: [1, 0] }, true]);
});

test('the loop in the README that survives its device goes on from the shadow', async () => {
  const model = new nn.Linear(1, 1);
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.1 });
  const batches = text.batches(new Int32Array(20), { batch: 1, length: 3 });
  let made = 0;
  announceReads(Infinity);
  await runExample(examples[2], {
    ...{ DeviceLostError, recover, model, optimizer, batches },
    // Lost in its 251st step, kept after its 200th.
    currentDevice: () => ({ recovered: async () => 200 }),
    step: async () => {
      if (++made === 251) throw new DeviceLostError('lost');
    },
  });
  expect(made).toBe(251 + 100);
  await expect(
    runExample(examples[2], {
      ...{ DeviceLostError, recover, model, optimizer, batches },
      currentDevice,
      step: async () => {
        throw new TypeError('something else');
      },
    }),
  ).rejects.toThrow('something else');
});

test('the sequences in the README are turned around, with what each token has looked at', async () => {
  const sources = Array.from({ length: 64 }, (_, n) =>
    Array.from({ length: 2 + (n % 3) }, (_, i) => 1 + ((n * (7 + i) + i * i * (n % 5)) % 5)),
  );
  const targets = sources.map((ids) => ids.toReversed());
  const found: number[][] = [];
  manualSeed(1);
  announceReads(Infinity);
  await runExample(examples[3], {
    ...{ compile, models, optim, padSequences, sources, targets },
    log: (ids: number[], score: number, alignment: Float32Array[], second: models.Hypothesis) => {
      found.push(ids);
      expect(alignment).toHaveLength(ids.length);
      expect(second.score).toBeLessThan(score);
    },
  });
  // All of them with seeds 1, 2 and 3.
  expect(found).toEqual(targets.map((ids) => [...ids, 0]));
});

test('the texts in the README are written chunk by chunk, alone and in a batch', async () => {
  const corpus = 'to be or not to be\n';
  const { size } = new text.CharVocabulary(corpus);
  const model = new models.CharRNN({ cell: 'gru', vocabularySize: size, embedding: 4, hidden: 4 });
  const [shown, listed]: [string[], (readonly string[])[]] = [[], []];
  manualSeed(1);
  announceReads(Infinity);
  await runExample(examples[4], {
    ...{ models, text, corpus, model },
    show: (part: string) => shown.push(part),
    log: (written: readonly string[]) => listed.push(written),
  });
  const [written] = listed as [readonly string[]];
  expect(written).toHaveLength(2);
  // A text ends with its first line.
  for (const each of [shown.join(''), ...written])
    expect(each.length === 200 || each.indexOf('\n') === each.length - 1).toBe(true);
  expect(() => new text.CharVocabulary(corpus).encode('to be?')).toThrow('"?" (U+003F), character 5 of the text');
});

test('every example of TypeScript in the README is tested', () => {
  expect(examples.length).toBe(5);
});
