import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import { defaultGenerator } from '../../src/core/random.ts';
import { compile, manualSeed, optim, type Tensor, tensor } from '../../src/index.ts';
import { Char2Wav, muLawEncoding, type SynthesizeOptions } from '../../src/models/index.ts';
import { drawIds } from '../support/draw.ts';
import { expectNear } from '../support/golden.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

const sizes = { vocabularySize: 6, embedding: 3, hidden: 4, frame: 3, levels: 7, mixtures: 2, pace: 0.4 };
const H = sizes.hidden;
/** With weights so large that texts and samples before make a difference. */
const lively = () => {
  const model = new Char2Wav(sizes);
  for (const parameter of model.parameters()) if (parameter.rank > 1) parameter.assign(parameter.mul(3));
  return model;
};
const ids = (rows: readonly (readonly number[])[]) => tensor(rows as number[][], { dtype: 'i32' });

/** Utterances of a model, whose reads are announced. */
async function spoken(model: Char2Wav, text: Tensor, options: SynthesizeOptions) {
  announceReads(2 * Math.ceil(options.frames / (options.chunk ?? 8)));
  return model.synthesize(text, options);
}

/** The levels of what was spoken. */
const levelsOf = ({ samples }: { samples: Float32Array }) => [...muLawEncoding(samples, sizes.levels)];

/** The formulas of one text, one number at a time and in double precision: logits [N, levels] and alignment [frames, S]. */
async function plainly(model: Char2Wav, text: readonly number[], levels: readonly number[]) {
  const names = model.namedParameters().map(([name]) => name);
  const values = (await read(...model.parameters())) as Float32Array[];
  const of = (name: string) => values[names.indexOf(name)] as Float32Array;
  const row = (name: string, i: number, width: number) => [...of(name).subarray(i * width, (i + 1) * width)];
  const linear = (name: string, x: readonly number[], suffix = ['weight', 'bias']) =>
    Array.from(of(`${name}.${suffix[1]}`), (bias, i) =>
      row(`${name}.${suffix[0]}`, i, x.length).reduce((sum, weight, j) => sum + weight * (x[j] as number), bias),
    );
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const gru = (name: string, x: readonly number[], h: readonly number[], direction = '') => {
    const a = linear(name, x, [`weight_ih_l0${direction}`, `bias_ih_l0${direction}`]);
    const b = linear(name, h, [`weight_hh_l0${direction}`, `bias_hh_l0${direction}`]);
    const n = h.length;
    return h.map((before, j) => {
      const at = (list: readonly number[], gate: number) => list[gate * n + j] as number;
      const [r, z] = [sigmoid(at(a, 0) + at(b, 0)), sigmoid(at(a, 1) + at(b, 1))];
      return (1 - z) * Math.tanh(at(a, 2) + r * at(b, 2)) + z * before;
    });
  };
  const none = (n: number) => new Array<number>(n).fill(0);

  const embedded = text.map((id) => row('embedding.weight', id, sizes.embedding));
  let h = none(H / 2);
  const forwards = embedded.map((x) => (h = gru('reader', x, h)));
  h = none(H / 2);
  const backwards = embedded.toReversed().map((x) => (h = gru('reader', x, h, '_reverse')));
  const memory = forwards.map((half, u) => [...half, ...(backwards.toReversed()[u] as number[])]);

  let [state, context, places] = [none(H), none(H), none(sizes.mixtures)];
  const alignment: number[][] = [];
  const shares: number[][] = [];
  for (let f = 0; f < Math.ceil(levels.length / sizes.frame); f++) {
    state = gru('decoder', context, state);
    const given = linear('attention', state).map(Math.exp);
    const part = (i: number, k: number) => given[i * sizes.mixtures + k] as number;
    places = places.map((place, k) => place + part(2, k));
    const weights = memory.map((_, u) =>
      places.reduce((sum, place, k) => sum + part(0, k) * Math.exp(-part(1, k) * (place - (u + 0.5)) ** 2), 0),
    );
    alignment.push(weights);
    context = none(H).map((_, j) => memory.reduce((sum, m, u) => sum + (weights[u] as number) * (m[j] as number), 0));
    const condition = linear('condition', linear('features', [...state, ...context]).map(Math.tanh));
    for (let i = 0; i < sizes.frame; i++) shares.push(condition.slice(i * H, (i + 1) * H));
  }
  let voice = none(H);
  const logits = levels.map((_, n) => {
    const before = row('sampleEmbedding.weight', n === 0 ? sizes.levels : (levels[n - 1] as number), H);
    voice = gru(
      'synthesizer',
      before.map((x, j) => x + (shares[n]?.[j] as number)),
      voice,
    );
    return linear('head', voice);
  });
  return { logits, alignment };
}

describe('Char2Wav', () => {
  const rows = [
    [1, 4, 2, 5],
    [3, 0, 5, 5],
  ];
  const lengths = [4, 2];

  it('gives what its formulas give, one text at a time, whatever stands behind its end', async () => {
    const model = lively();
    // 8 samples are two frames and two thirds.
    const levels = [
      [3, 1, 6, 0, 2, 5, 4, 3],
      [0, 0, 5, 6, 1, 2, 3, 4],
    ];
    const [logits, alignment] = (await read(
      model.forward(ids(rows), ids(levels), { lengths }),
      model.align(ids(rows), 3, { lengths }),
    )) as [Float32Array, Float32Array];
    for (const [b, text] of rows.entries()) {
      const own = text.slice(0, lengths[b]);
      const plain = await plainly(model, own, levels[b] as number[]);
      expectNear(logits.subarray(b * 8 * 7, (b + 1) * 8 * 7), plain.logits.flat(), `logits ${b}`);
      const padded = plain.alignment.flatMap((weights) => [...weights, ...new Array(4 - own.length).fill(0)]);
      expectNear(alignment.subarray(b * 3 * 4, (b + 1) * 3 * 4), padded, `alignment ${b}`);
    }
  });

  it('loses the mean over the samples that count of −ln p, and learns nothing from the others', async () => {
    const model = lively();
    const sampleLengths = [7, 3];
    const levels = [
      [3, 1, 6, 0, 2, 5, 4],
      [0, 2, 5, 6, 1, 2, 3],
    ];
    const others = [levels[0], [0, 2, 5, 1, 1, 4, 0]] as number[][];
    const [loss, same, scores] = (await read(
      model.loss(ids(rows), ids(levels), { lengths, sampleLengths }),
      model.loss(ids(rows), ids(others), { lengths, sampleLengths }),
      model.forward(ids(rows), ids(levels), { lengths }).logSoftmax(-1),
    )) as [Float32Array, Float32Array, Float32Array];
    const own = levels.flatMap((row, b) =>
      row.slice(0, sampleLengths[b]).map((level, n) => -(scores[(b * 7 + n) * 7 + level] as number)),
    );
    expectNear(loss, [own.reduce((a, b) => a + b) / 10], 'loss');
    expect(same).toEqual(loss);
  });

  it('hears in training only some of the samples before, and all of them otherwise', async () => {
    const model = new Char2Wav({ ...sizes, dropout: 1 });
    const [text, one, other] = [ids([[1, 2]]), ids([[1, 2, 3, 4]]), ids([[4, 0, 6, 1]])];
    const outputs = () => read(model.forward(text, one), model.forward(text, other));
    const [deaf, deafToo] = await outputs();
    expect(deaf).toEqual(deafToo);
    model.eval();
    const [hears, hearsOther] = (await outputs()) as [Float32Array, Float32Array];
    expect(hears.slice(0, 7)).toEqual(hearsOther.slice(0, 7));
    expect(hears.slice(7)).not.toEqual(hearsOther.slice(7));
  });

  it('speaks what is likeliest after what it has spoken, in chunks of any size, and tells what it attended to', async () => {
    const model = lively();
    const options = { lengths, frames: 7, temperature: 0 };
    const found = await spoken(model, ids(rows), options);
    expect(model.training).toBe(true);
    model.eval();
    const levels = found.map(levelsOf);
    const [logits, alignment] = (await read(
      model.forward(ids(rows), ids(levels), { lengths }),
      model.align(ids(rows), 7, { lengths }),
    )) as [Float32Array, Float32Array];
    for (const [b, row] of levels.entries()) {
      expect(row.length).toBe(21);
      expect(new Set(row).size).toBeGreaterThan(1);
      for (const [n, level] of row.entries()) {
        const scores = logits.subarray((b * 21 + n) * 7, (b * 21 + n + 1) * 7);
        expect(scores[level]).toBeCloseTo(Math.max(...scores), 5);
      }
      const said = found[b]?.alignment as Float32Array[];
      expectNear(
        said.flatMap((weights) => [...weights]),
        alignment.subarray(b * 28, (b + 1) * 28),
        'alignment',
      );
    }
    for (const chunk of [1, 2, 3, 20]) {
      const again = await spoken(model, ids(rows), { ...options, chunk });
      expect(again.map(({ samples }) => samples)).toEqual(found.map(({ samples }) => samples));
    }
  });

  it('draws by seed, the same in chunks of any size, and each text as it speaks it alone', async () => {
    const model = lively();
    const options = { frames: 6, temperature: 1.5, seed: 4 };
    const before = defaultGenerator.state();
    const samples = async (more: Partial<SynthesizeOptions>, text = ids(rows)) =>
      (await spoken(model, text, { ...options, ...more })).map((each) => [...each.samples]);
    const first = await samples({});
    expect(await samples({ chunk: 2 })).toEqual(first);
    expect(defaultGenerator.state()).toEqual(before);
    expect(await samples({ seed: 5 })).not.toEqual(first);
    const silent = { temperature: 0, lengths };
    const together = await samples(silent);
    for (const [b, row] of rows.entries())
      expect(await samples({ temperature: 0 }, ids([row.slice(0, lengths[b])]))).toEqual([together[b]]);

    // The default generator gives a number for each sample, whatever the chunks.
    const drawn = [];
    for (const chunk of [1, 4]) {
      manualSeed(9);
      announceReads(12);
      drawn.push((await model.synthesize(ids(rows), { frames: 6, chunk })).map((each) => [...each.samples]));
      expect(defaultGenerator.position).toBe(18);
    }
    expect(drawn[0]).toEqual(drawn[1]);
  });

  it('costs a submit for the texts, and a submit and a read for each chunk', async () => {
    const model = lively();
    const options = { frames: 12, chunk: 4, temperature: 0 };
    await spoken(model, ids(rows), options);
    const { counts } = await countCalls(() => spoken(model, ids(rows), { ...options, temperature: 1 }));
    expect(counts).toMatchObject({ submits: 1 + 3, maps: 3, bindGroups: 0, pipelines: 0 });
  });

  it('has its weights in a state dict, and speaks alike with them', async () => {
    const [model, other] = [lively(), lively()];
    const names = [...model.stateDict().keys()];
    expect(names).toContain('reader.weight_hh_l0_reverse');
    expect(names).toContain('attention.bias');
    expect(names.length).toBe(8 + 4 + 4 + 2 * 4 + 2);
    const options = { lengths, frames: 4, temperature: 0 };
    const own = await spoken(model, ids(rows), options);
    expect(await spoken(other, ids(rows), options)).not.toEqual(own);
    other.loadStateDict(model.stateDict());
    expect(await spoken(other, ids(rows), options)).toEqual(own);
  });

  it('goes on by its pace to begin with', async () => {
    for (const pace of [0.25, 2]) {
      const model = new Char2Wav({ ...sizes, pace });
      const [bias] = (await read(model.attention.bias as Tensor)) as [Float32Array];
      expectNear(bias.slice(4), [Math.log(pace), Math.log(pace)], 'bias');
    }
  });

  it('learns to say two words, and says them alone', { timeout: 120_000 }, async () => {
    const model = new Char2Wav({ vocabularySize: 2, embedding: 4, hidden: 24, frame: 4, levels: 8, pace: 0.5 });
    const text = ids([
      [0, 1, 0],
      [1, 1, 0],
    ]);
    const sound = [
      [7, 6, 3, 0, 1, 4, 6, 3],
      [4, 5, 4, 3, 4, 5, 4, 3],
    ] as const;
    const levels = ids([
      [...sound[0], ...sound[1], ...sound[0]],
      [...sound[1], ...sound[1], ...sound[0]],
    ]);
    const optimizer = new optim.Adam(model.parameters(), { lr: 1e-2 });
    const step = compile(() => {
      const loss = model.loss(text, levels);
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    for (let i = 0; i < 150; i++) await step();
    const found = await spoken(model, text, { frames: 6, temperature: 0 });
    const [expected] = await read(levels);
    expect(found.flatMap(({ samples }) => [...muLawEncoding(samples, 8)])).toEqual([...(expected as Int32Array)]);
  });

  it('says what it wants', async () => {
    expect(() => new Char2Wav({ ...sizes, hidden: 5 })).toThrow(
      '[Char2Wav] hidden must be even for a reader of two directions, got 5',
    );
    expect(() => new Char2Wav({ ...sizes, levels: 1 })).toThrow('levels must be an integer from 2 to 65536, got 1');
    expect(() => new Char2Wav({ ...sizes, pace: 0 })).toThrow('pace must be a positive finite number, got 0');
    const model = new Char2Wav(sizes);
    const [text, levels] = [drawIds([2, 4], 6), drawIds([2, 5], 7)];
    expect(() => model.forward(drawIds([4], 6), levels)).toThrow('[Char2Wav] the text must be ids [B, S], got [4]');
    expect(() => model.forward(text, drawIds([3, 5], 7))).toThrow('the levels must be [B, N] = [2, N], got [3, 5]');
    expect(() => model.loss(text, levels, { lengths: [0, 4] })).toThrow('[Char2Wav] lengths must be 2 integers');
    expect(() => model.loss(text, levels, { sampleLengths: [5, 6] })).toThrow('[Char2Wav] lengths must be 2 integers');
    expect(() => model.align(text, 0)).toThrow('[Char2Wav.align] frames must be a positive integer');
    expect(() => model.synthesize(text, {} as never)).toThrow(
      '[Char2Wav.synthesize] needs the option frames: a positive integer of at most 65536',
    );
    expect(() => model.synthesize(text, { frames: 1, temperature: -1 })).toThrow('temperature must be');
    await expect(read(model.loss(text, drawIds([2, 5], 1).add(8)))).rejects.toThrow(
      '[embedding] a token id lies outside',
    );
  });
});
