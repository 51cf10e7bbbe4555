import { describe, expect, it } from 'vitest';
import { compile, optim, type Tensor, tensor } from '../../src/index.ts';
import { beamSearch, Seq2Seq, type Seq2SeqConfig } from '../../src/models/index.ts';
import { drawIds } from '../support/draw.ts';
import { expectNear } from '../support/golden.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

const sizes = { sourceVocabulary: 9, targetVocabulary: 7, embedding: 5, hidden: 8 };
const forms: readonly Partial<Seq2SeqConfig>[] = [
  { attention: 'none' },
  { attention: 'none', bidirectional: false },
  { attention: 'additive' },
  { attention: 'additive', inputFeeding: true },
  { attention: 'dot' },
  { attention: 'general', inputFeeding: true, bidirectional: false },
];
const titled = forms.map((form) => ({ form, title: JSON.stringify(form) }));
const ids = (rows: readonly (readonly number[])[]) => tensor(rows as number[][], { dtype: 'i32' });
const eos = 0;

describe('Seq2Seq', () => {
  it.for(titled)('step by step is what it is all at once: $title', async ({ form }) => {
    const model = new Seq2Seq({ ...sizes, ...form });
    const [source, inputs] = [drawIds([3, 6], 9), drawIds([3, 4], 7)];
    const lengths = [6, 2, 4];
    const whole = model.forward(source, inputs, { lengths });
    let state = model.start(source, { lengths });
    const steps: Tensor[] = [];
    for (let t = 0; t < 4; t++) {
      const next = model.step(inputs.slice([null, [t, t + 1]]).reshape([3]), state);
      state = [...next.state];
      steps.push(next.logits);
    }
    const [expected, ...each] = (await read(whole, ...steps)) as Float32Array[];
    for (const [t, logits] of each.entries()) {
      const own = Array.from({ length: 3 }, (_, b) => [
        ...(expected as Float32Array).subarray((b * 4 + t) * 7, (b * 4 + t + 1) * 7),
      ]);
      expectNear(logits, own.flat(), `step ${t}`);
    }
  });

  it.for(titled)(
    'gives each source what it gives it alone, whatever stands behind its end: $title',
    async ({ form }) => {
      const model = new Seq2Seq({ ...sizes, ...form });
      const rows = [
        [1, 2, 3, 8, 8],
        [4, 5, 6, 7, 1],
        [2, 8, 8, 8, 8],
      ];
      const lengths = [3, 5, 1];
      const inputs = drawIds([3, 4], 7);
      const together = model.forward(ids(rows), inputs, { lengths });
      const alone = rows.map((row, b) => model.forward(ids([row.slice(0, lengths[b])]), inputs.slice([[b, b + 1]])));
      const [all, ...single] = (await read(together, ...alone)) as Float32Array[];
      expectNear(
        all as Float32Array,
        single.flatMap((logits) => [...logits]),
        'logits',
      );
    },
  );

  it.for(['additive', 'dot', 'general'] as const)(
    '%s: what a step attends to sums to 1, and to nothing behind the end',
    async (attention) => {
      const model = new Seq2Seq({ ...sizes, attention });
      const { weights } = model.align(drawIds([2, 5], 9), drawIds([2, 3], 7), { lengths: [5, 2] });
      const [values] = (await read(weights)) as [Float32Array];
      for (let row = 0; row < 6; row++) {
        const own = [...values.subarray(row * 5, (row + 1) * 5)];
        expectNear([own.reduce((a, b) => a + b)], [1], 'sum');
        if (row >= 3) expect(own.slice(2)).toEqual([0, 0, 0]);
      }
    },
  );

  it('learns to turn strings around, and translates them so', { timeout: 120_000 }, async () => {
    const model = new Seq2Seq({ sourceVocabulary: 6, targetVocabulary: 6, embedding: 16, hidden: 32 });
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
    const strings = Array.from({ length: 64 }, (_, n) =>
      Array.from({ length: 4 }, (_, i) => 1 + ((n * (7 + i) + i * i * (n % 5)) % 5)),
    );
    const [source, targets] = [ids(strings), ids(strings.map((string) => [...string].reverse().concat(eos)))];
    const inputs = ids(strings.map((string) => [eos, ...[...string].reverse()]));
    const step = compile(() => {
      const loss = model.loss(source, inputs, targets);
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    for (let i = 0; i < 150; i++) await step();
    announceReads(8);
    const found = await model.translate(source.slice([[0, 8]]), { beams: 2, maxLength: 8, eos });
    expect(found.map(([best]) => best?.ids)).toEqual(
      strings.slice(0, 8).map((string) => [...string].reverse().concat(eos)),
    );
    expect(found[0]?.[0]?.alignment?.[0]).toHaveLength(4);
  });

  it('says what it wants', () => {
    expect(() => new Seq2Seq({ ...sizes, hidden: 7 })).toThrow(
      '[Seq2Seq] hidden must be even for an encoder of two directions, got 7',
    );
    expect(() => new Seq2Seq({ ...sizes, attention: 'none', inputFeeding: true })).toThrow("and attention is 'none'");
    const model = new Seq2Seq(sizes);
    const [source, inputs] = [drawIds([2, 5], 9), drawIds([2, 3], 7)];
    expect(() => model.forward(drawIds([5], 9), inputs)).toThrow('[Seq2Seq] the source must be ids [B, T], got [5]');
    expect(() => model.forward(source, drawIds([3, 3], 7))).toThrow('as many rows of inputs as of sources, 2, got 3');
    expect(() => model.forward(source, inputs, { lengths: [0, 5] })).toThrow('[Seq2Seq] lengths must be 2 integers');
    expect(() => model.loss(source, inputs, drawIds([2, 4], 7))).toThrow(
      'targets must be those of the inputs, [2, 3], got [2, 4]',
    );
    expect(() => model.loss(source, inputs, inputs, { targetLengths: [3, 0] })).toThrow(
      '[Seq2Seq] targetLengths must be 2 integers, one for each row of the batch, from 1 to 3, got [3, 0]',
    );
    expect(() => new Seq2Seq({ ...sizes, attention: 'none' }).align(source, inputs)).toThrow('nothing to align');
  });

  it('tells of lengths in tensors at the next read', async () => {
    const model = new Seq2Seq(sizes);
    const [source, inputs] = [drawIds([2, 5], 9), drawIds([2, 3], 7)];
    const lengths = (...values: number[]) => tensor(values, { dtype: 'i32' });
    for (const wrong of [lengths(0, 5), lengths(5, 6)])
      await expect(read(model.forward(source, inputs, { lengths: wrong }))).rejects.toThrow(
        'a length lies outside [1, 5]',
      );
    for (const wrong of [lengths(3, 0), lengths(4, 1)])
      await expect(read(model.loss(source, inputs, inputs, { targetLengths: wrong }))).rejects.toThrow(
        'a length lies outside [1, 3]',
      );
  });

  it('takes no state of another model, or of other sources', async () => {
    const source = drawIds([2, 5], 9);
    const model = new Seq2Seq({ ...sizes, inputFeeding: true });
    const [h, fed, memory, keys, lengths] = model.start(source) as [Tensor, Tensor, Tensor, Tensor, Tensor];
    const two = ids([[1, 2]]).reshape([2]);
    const wants = (B: number) =>
      `[Seq2Seq] a state for ${B} ids must be [${B}, 8], [${B}, 8], [${B}, S, 8], [${B}, S, 8], [${B}], as start gives it`;
    const wrong: readonly Tensor[][] = [
      ...[[], [h, memory, keys, lengths], [h, fed, memory, keys, lengths, h], [memory, fed, memory, keys, lengths]],
      [h, fed, memory, keys.slice([null, [0, 4]]), lengths],
      new Seq2Seq({ ...sizes, hidden: 6, inputFeeding: true }).start(source),
    ];
    for (const state of wrong) expect(() => model.step(two, state)).toThrow(wants(2));
    expect(() => model.step(ids([[1, 2, 3]]).reshape([3]), [h, fed, memory, keys, lengths])).toThrow(wants(3));
    expect(() => model.step(ids([[1], [2]]), [h, fed, memory, keys, lengths])).toThrow(
      '[Seq2Seq] ids of a step must be [B], got [2, 1]',
    );
    expect(() => model.step(two, h as never)).toThrow('[Seq2Seq] the state must be an array');
    await expect(beamSearch(model.step, [h], { beams: 3, maxLength: 2, eos })).rejects.toThrow(wants(6));
  });

  it('says at its promise what a search wants', async () => {
    const model = new Seq2Seq(sizes);
    const source = drawIds([2, 5], 9);
    const wrong = (more: object, from = source) => model.translate(from, { beams: 2, maxLength: 3, eos, ...more });
    await expect(wrong({}, drawIds([5], 9))).rejects.toThrow('[Seq2Seq] the source must be ids [B, T], got [5]');
    await expect(wrong({ lengths: [5, 0] })).rejects.toThrow('[Seq2Seq] lengths must be 2 integers');
    await expect(wrong({ beams: 0 })).rejects.toThrow('[Seq2Seq.translate] beams must be a positive integer');
    await expect(wrong({ beams: 8 })).rejects.toThrow('beams must be at most the 7 tokens of the vocabulary, got 8');
    await expect(wrong({ eos: 7 })).rejects.toThrow('eos is 7, which is no id of a vocabulary of 7');
    await expect(wrong({ beem: 3 })).rejects.toThrow("there is no option 'beem'; is 'beams' meant?");
  });
});
