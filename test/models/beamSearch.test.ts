import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import { Generator, indexSelect, randn, stack, type Tensor, tensor } from '../../src/index.ts';
import {
  type BeamSearchOptions,
  beamSearch,
  CharRNN,
  type DecoderStep,
  generate,
  type Hypothesis,
} from '../../src/models/index.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

const [V, H, S, eos] = [5, 6, 3, 4];

/** An attending decoder with random weights, on the device and in float64, for B sources. */
async function decoder(seed: number, { B = 1, vocabulary = V, towardsEnd = 0 } = {}) {
  const generator = new Generator(seed);
  const draw = (shape: number[], scale: number) => randn(shape, { generator }).mul(scale);
  const parts = [draw([H, H], 0.8), draw([V, H], 1.5), draw([H, V], 1.2), draw([B, H], 1), draw([B, S, H], 1.5)];
  const values = await read(...parts);
  const [W, E, U, h0, memory] = values.map((array, i) => tensor(array, { shape: (parts[i] as Tensor).shape })) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const bias = Float32Array.from({ length: V }, (_, id) => (id === eos ? towardsEnd : 0));
  const step: DecoderStep = (ids, state) => {
    const [h, memory] = state as [Tensor, Tensor];
    const hidden = h.matmul(W).add(indexSelect(E, ids)).tanh(); // [N, H]
    const alignment = memory.matmul(hidden.unsqueeze(-1)).squeeze(-1).softmax(); // [N, S]
    const context = alignment.unsqueeze(1).matmul(memory).squeeze(1); // [N, H]
    const logits = hidden.add(context).matmul(U).add(tensor(bias)); // [N, V]
    // Ids that do not exist, where the vocabulary is larger: no beam may take one.
    const masked =
      vocabulary > V
        ? logits.pad(
            [
              [0, 0],
              [0, vocabulary - V],
            ],
            -1e30,
          )
        : logits;
    return { logits: masked, state: [hidden, memory], alignment };
  };
  /** What follows a text for a source, in float64: logarithms of probabilities, and the alignment. */
  const after = (b: number, ids: readonly number[]) => {
    const [w, e, u, first, seen] = values as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
    let h = Array.from({ length: H }, (_, i) => first[b * H + i] as number);
    for (const id of [eos, ...ids])
      h = h.map((_, j) =>
        Math.tanh(h.reduce((sum, x, i) => sum + x * (w[i * H + j] as number), e[id * H + j] as number)),
      );
    const row = (s: number, i: number) => seen[(b * S + s) * H + i] as number;
    const weights = normalised(
      Array.from({ length: S }, (_, s) => h.reduce((sum, x, i) => sum + x * row(s, i), 0)),
    ).map(Math.exp);
    const mixed = h.map((x, i) => weights.reduce((sum, weight, s) => sum + weight * row(s, i), x));
    const scores = Array.from({ length: V }, (_, k) =>
      mixed.reduce((sum, x, i) => sum + x * (u[i * V + k] as number), bias[k] as number),
    );
    return { logs: normalised(scores), weights };
  };
  return { step, state: [h0, memory], after };
}

type After = Awaited<ReturnType<typeof decoder>>['after'];

/** log softmax */
function normalised(scores: number[]): number[] {
  const best = Math.max(...scores);
  const total = Math.log(scores.reduce((sum, x) => sum + Math.exp(x - best), 0));
  return scores.map((x) => x - best - total);
}

interface Found {
  ids: number[];
  logProbability: number;
}

const ranked = (found: Found[], penalty: number) =>
  found
    .map((each) => ({ ...each, score: each.logProbability / each.ids.length ** penalty }))
    .sort((a, b) => b.score - a.score);

/** All texts that end within `length` tokens, or are cut off there. */
function allTexts(after: After, b: number, length: number, ids: number[] = [], sum = 0): Found[] {
  if (ids.length === length || ids.at(-1) === eos) return [{ ids, logProbability: sum }];
  return after(b, ids).logs.flatMap((log, id) => allTexts(after, b, length, [...ids, id], sum + log));
}

/** The search as its docstring has it, by lists of texts. */
function searchByHand(after: After, b: number, beams: number, length: number, penalty: number): Found[] {
  let live: Found[] = [{ ids: [], logProbability: 0 }];
  const ended: Found[] = [];
  const isDone = () => {
    const [last, first] = [ranked(ended, penalty)[beams - 1], ranked(live, penalty)[0]];
    return last !== undefined && first !== undefined && last.score >= first.score;
  };
  for (let t = 0; t < length && !isDone(); t++) {
    const all = live
      .flatMap(({ ids, logProbability }) =>
        after(b, ids).logs.map((log, id) => ({ ids: [...ids, id], logProbability: logProbability + log })),
      )
      .sort((x, y) => y.logProbability - x.logProbability);
    const isEnd = ({ ids }: Found) => ids.at(-1) === eos;
    ended.push(...all.slice(0, beams).filter(isEnd));
    live = all.filter((each) => !isEnd(each)).slice(0, beams);
  }
  return isDone() ? ended : [...ended, ...live];
}

/** Announces the reads of a search: one for each chunk, and one for the alignments. */
async function found(step: DecoderStep, state: readonly Tensor[], options: BeamSearchOptions) {
  announceReads(Math.ceil(options.maxLength / (options.chunk ?? 16)) + 1);
  return await beamSearch(step, state, options);
}

function expectFound(actual: readonly Hypothesis[], expected: readonly (Found & { score: number })[]): void {
  expect(actual.map(({ ids }) => ids)).toEqual(expected.map(({ ids }) => ids));
  for (const [i, { logProbability, score, ids, ended }] of actual.entries()) {
    expect(logProbability).toBeCloseTo(expected[i]?.logProbability as number, 4);
    expect(score).toBeCloseTo(expected[i]?.score as number, 4);
    expect(ended).toBe(ids.at(-1) === eos);
  }
}

describe('beamSearch', () => {
  it('finds with enough beams what a search of all texts finds', async () => {
    // 64 texts go on after three tokens, with 16 that end there; V is 80 where ids from 5 on are masked.
    const beams = 80;
    const lengths = new Set<number>();
    for (const seed of [1, 2, 3, 4, 5])
      for (const towardsEnd of [0, 2]) {
        const { step, state, after } = await decoder(seed, { vocabulary: beams, towardsEnd });
        for (const lengthPenalty of [0, 1]) {
          const best = ranked(allTexts(after, 0, 4), lengthPenalty).slice(0, 3);
          const [actual] = await found(step, state, { beams, maxLength: 4, eos, lengthPenalty, nBest: 3 });
          expectFound(actual as Hypothesis[], best);
          for (const { ids } of best) lengths.add(ids.length);
        }
      }
    // Some end early.
    expect(lengths.size).toBeGreaterThan(1);
  });

  it.for([1, 2, 3, 4, 5])('keeps %i beams, each source for itself, in chunks of any size', async (beams) => {
    const B = 3;
    const { step, state, after } = await decoder(10 + beams, { B, towardsEnd: 0.5 });
    const options = { beams, maxLength: 7, eos, nBest: beams };
    for (const lengthPenalty of [0, 1]) {
      const all = await found(step, state, { ...options, lengthPenalty });
      for (let b = 0; b < B; b++) {
        const hypotheses = all[b] as Hypothesis[];
        expectFound(hypotheses, ranked(searchByHand(after, b, beams, 7, lengthPenalty), lengthPenalty).slice(0, beams));
        for (const { ids, alignment } of hypotheses) {
          expect(alignment?.length).toBe(ids.length);
          for (const [t, row] of (alignment as Float32Array[]).entries())
            for (const [s, weight] of after(b, ids.slice(0, t)).weights.entries())
              expect(row[s]).toBeCloseTo(weight, 4);
        }
      }
      for (const chunk of [1, 3]) expect(await found(step, state, { ...options, lengthPenalty, chunk })).toEqual(all);
    }
  });

  it('waits for a likely one, where as many as there are beams have ended before', async () => {
    // 0 → 1 → 2 → 3 → end, each with nearly all of the probability: whatever ends before is unlikely.
    const chain = tensor([
      [-9, 9, -9, -9, -8],
      [-9, -9, 9, -9, -8],
      [-9, -9, -9, 9, -8],
      [-9, -9, -9, -9, 9],
      [9, -9, -9, -9, -9],
    ]);
    const step: DecoderStep = (ids) => ({ logits: indexSelect(chain, ids), state: [] });
    for (const beams of [1, 2, 3, 4, 5])
      for (const lengthPenalty of [0, 1]) {
        const [[best] = []] = await found(step, [], { beams, maxLength: 8, eos, lengthPenalty });
        expect(best).toMatchObject({ ids: [0, 1, 2, 3, eos], ended: true });
      }
  });

  it.for(['lstm', 'gru'] as const)('is greedy with one beam, %s', async (cell) => {
    const model = new CharRNN({ cell, vocabularySize: 13, embedding: 6, hidden: 8, layers: 2, dropout: 0.5 });
    for (const parameter of model.parameters()) parameter.assign(parameter.mul(4));
    // Rows first: the model has its layers there.
    const turned = (state: readonly Tensor[]) => state.map((part) => part.permute([1, 0, 2]));
    const step: DecoderStep = (ids, state) => {
      const next = model.decode(ids, turned(state));
      return { logits: next.logits, state: turned(next.state) };
    };
    const zeros = tensor(new Float32Array(2 * 2 * 8), { shape: [2, 2, 8] });
    const state = cell === 'lstm' ? [zeros, zeros] : [zeros];
    announceReads(2);
    const greedy: number[] = [];
    for await (const ids of generate(model, { prompt: [3], maxTokens: 20, temperature: 0 })) greedy.push(...ids);
    for (const eos of new Set(greedy))
      for (const lengthPenalty of [0, 1]) {
        const options = { beams: 1, maxLength: 20, eos, start: 3, lengthPenalty };
        const ids = greedy.slice(0, greedy.indexOf(eos) + 1);
        const both = await found(step, state, options);
        expect(both.map(([best]) => best?.ids)).toEqual([ids, ids]);
      }
    const other = [...Array(13).keys()].find((id) => !greedy.includes(id)) as number;
    const [[whole] = []] = await found(step, state, { beams: 1, maxLength: 20, eos: other, start: 3 });
    expect(whole).toMatchObject({ ids: greedy, ended: false });
    expect(whole).not.toHaveProperty('alignment');
  });

  it('costs a submit and a read for each chunk, and one of each for the alignments', async () => {
    const { step, state } = await decoder(3, { B: 2, towardsEnd: -20 });
    const plain: DecoderStep = (ids, given) => {
      const { logits, state: next } = step(ids, given);
      return { logits, state: next };
    };
    for (const [search, more] of [
      [step, 1],
      [plain, 0],
    ] as const) {
      const options = { beams: 3, maxLength: 20, eos, chunk: 8 };
      await found(search, state, options);
      const { counts } = await countCalls(() => found(search, state, options));
      expect(counts).toMatchObject({ submits: 3 + more, maps: 3 + more, bindGroups: 0, pipelines: 0 });
    }
    // One submit for a whole search; ended in the first of three chunks, it leaves the second unread.
    await found(plain, state, { beams: 3, maxLength: 16, eos });
    const whole = await countCalls(() => found(plain, state, { beams: 3, maxLength: 16, eos }));
    expect(whole.counts).toMatchObject({ submits: 1, maps: 1 });
    const early = await decoder(3, { towardsEnd: 20 });
    const short: DecoderStep = (ids, given) => {
      const { logits, state: next } = early.step(ids, given);
      return { logits, state: next };
    };
    const ends = () => found(short, early.state, { beams: 1, maxLength: 24, eos, chunk: 8 });
    await ends();
    const { result, counts } = await countCalls(ends);
    expect(result[0]?.[0]?.ids).toEqual([eos]);
    expect(counts).toMatchObject({ submits: 2, maps: 1 });
  });

  it('takes states of integers along, and a decoder without a state', async () => {
    // Counts tokens, and says the token of that number until three are said.
    const step: DecoderStep = (_, [count]) => {
      const logits = (count as Tensor).unsqueeze(1).equal(tensor([[0, 1, 2, eos, 3]], { dtype: 'i32' }));
      return { logits: logits.cast('f32').mul(9), state: [(count as Tensor).add(1)] };
    };
    const counts = tensor([0, 1], { dtype: 'i32' });
    const both = await found(step, [counts], { beams: 2, maxLength: 5, eos: 3, lengthPenalty: 0 });
    expect(both.map(([best]) => best?.ids)).toEqual([
      [0, 1, 2, 4, 3],
      [1, 2, 4, 3],
    ]);
    const bigram = tensor([
      [-9, 9, 0],
      [0, -9, 9],
      [9, 0, -9],
    ]); // 0 → 1 → 2 → 0
    const chain: DecoderStep = (ids) => ({ logits: indexSelect(bigram, ids), state: [] });
    const [[best] = []] = await found(chain, [], { beams: 2, maxLength: 4, eos: 2, start: 0 });
    expect(best?.ids).toEqual([1, 2]);
  });

  it('says what it wants', async () => {
    const { step, state } = await decoder(1);
    const options = { beams: 2, maxLength: 3, eos };
    const wrong = async (more: object, given: unknown = step, from: unknown = state) =>
      beamSearch(given as DecoderStep, from as Tensor[], { ...options, ...more });
    await expect(wrong({ beams: 0 })).rejects.toThrow(
      '[beamSearch] beams must be a positive integer of at most 512, got 0',
    );
    await expect(wrong({ beams: 6 })).rejects.toThrow(
      '[beamSearch] beams must be at most the 5 tokens of the vocabulary, got 6',
    );
    await expect(wrong({ eos: 5 })).rejects.toThrow('[beamSearch] eos is 5, which is no id of a vocabulary of 5');
    await expect(wrong({ eos: -1 })).rejects.toThrow('[beamSearch] eos must be an integer of at least 0, got -1');
    await expect(wrong({ start: 7 })).rejects.toThrow('[beamSearch] start is 7, which is no id');
    await expect(wrong({ nBest: 3 })).rejects.toThrow('[beamSearch] nBest must be at most beams, 2, got 3');
    await expect(wrong({ maxLength: 0 })).rejects.toThrow('[beamSearch] maxLength must be a positive integer');
    await expect(wrong({ lengthPenalty: -1 })).rejects.toThrow('[beamSearch] lengthPenalty must be a finite number');
    await expect(wrong({ eos: undefined })).rejects.toThrow('[beamSearch] needs the option eos');
    await expect(wrong({}, null)).rejects.toThrow('[beamSearch] the step must be a function, got null');
    await expect(wrong({}, step, [state[0], tensor([1, 2])])).rejects.toThrow(
      '[beamSearch] each part of the state must have the sources in dimension 0, got [1, 6] and [2]',
    );
    await expect(wrong({}, step, 3)).rejects.toThrow('[beamSearch] the state must be an array');
    const h = state[0] as Tensor;
    const logits = tensor(
      [
        [0, 1],
        [2, 3],
      ],
      { dtype: 'f32' },
    );
    const steps: [DecoderStep, string][] = [
      [() => logits as never, '[beamSearch] the step must return { logits, state: [tensors] }'],
      [() => ({ logits: h, state: [h] }), '[beamSearch] the step must give logits [N, V] for N = 2, got [1, 6]'],
      [() => ({ logits, state: [] }), '[beamSearch] the step returns 0 parts of the state for 1'],
      [
        (_, [x]) => ({ logits, state: [stack([x as Tensor])] }),
        '[beamSearch] the step makes part 0 of the state, f32 [2, 6], f32 [1, 2, 6]; they must be equal',
      ],
      [
        (_, [x]) => ({ logits, state: [x as Tensor], alignment: h }),
        '[beamSearch] the step must give its alignment as [N, S] for N = 2, got [1, 6]',
      ],
    ];
    for (const [given, message] of steps) await expect(wrong({ eos: 1 }, given, [h])).rejects.toThrow(message);
    announceReads(2);
    const nan: DecoderStep = (_, [x]) => ({ logits: logits.mul(Number.NaN), state: [x as Tensor] });
    await expect(wrong({ eos: 1 }, nan, [h])).rejects.toThrow('[beamSearch] the step gives scores that are NaN');
  });
});
