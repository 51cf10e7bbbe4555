import type { HostArray } from '../core/dtype.ts';
import { ShapeError, ValueError } from '../core/errors.ts';
import { nth } from '../core/lists.ts';
import {
  callback,
  count,
  countOrNone,
  countUpTo,
  declareOptions,
  expectKind,
  type Kinds,
  listOf,
  notNegative,
  shown,
  tensorLike,
} from '../core/options.ts';
import { formatShape, sameShape } from '../core/shape.ts';
import { noGrad } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { evaluating } from '../nn/module.ts';
import { full } from '../ops/create.ts';
import { add, div, equal, mul, sub, where } from '../ops/elementwise.ts';
import { indexSelect } from '../ops/embedding.ts';
import { gather } from '../ops/gather.ts';
import { iota } from '../ops/indexing.ts';
import { scan } from '../ops/scan.ts';
import { logSoftmax } from '../ops/softmax.ts';
import { topK } from '../ops/topK.ts';
import { expand, reshape } from '../ops/view.ts';
import { readAll } from '../runtime/eager.ts';
import { type Compiled, compile } from '../runtime/step.ts';
import { type Hypothesis, impossible, Search } from './hypotheses.ts';
import type { Decoded } from './languageModel.ts';
import { ahead, inParts, readParts } from './parts.ts';

/**
 * One step of a decoder over N rows: reads a token more for each, ids [N], and gives the scores of the next, [N, V], and the
 * state with it. Each part of the state has its rows in dimension 0, and keeps its shape; one that it hands on as it got it,
 * such as an encoded source, is the same for all beams. `alignment` [N, S] is what it attended to, where it tells.
 */
export type DecoderStep = (ids: Tensor, state: Tensor[]) => Decoded & { readonly alignment?: Tensor };

/** Options of `beamSearch`. */
export interface BeamSearchOptions {
  /** Hypotheses that go on side by side, K: from 1 to V. 1 takes the likeliest token each time. */
  beams: number;
  /** Tokens that a hypothesis may have, its end included. */
  maxLength: number;
  /** The id that ends a hypothesis. */
  eos: number;
  /** The power of its length by which the log-probability of a hypothesis is divided; 1 by default, 0 favours short ones. */
  lengthPenalty?: number;
  /** Hypotheses to return for each source, at most `beams`; 1 by default. */
  nBest?: number;
  /** The id that each hypothesis is begun with, and does not contain; by default `eos`, as in fairseq. */
  start?: number;
  /** Steps per submit and per read; 16 by default. The result does not depend on it. */
  chunk?: number;
}

export const beamSearchKinds: Kinds<BeamSearchOptions> = {
  beams: countUpTo(512),
  maxLength: countUpTo(2 ** 16),
  eos: countOrNone,
  lengthPenalty: notNegative,
  nBest: count,
  start: countOrNone,
  chunk: countUpTo(1024),
};
export const beamSearchNeeds = ['beams', 'maxLength', 'eos'] as const;
const beamSearchOptions = declareOptions<BeamSearchOptions>(beamSearchKinds, beamSearchNeeds);

/**
 * Searches for the likeliest continuations (Graves 2012; Sutskever et al. 2014): for each of the B sources whose `state`, [B, …]
 * in each part, the decoder starts from, its best hypotheses, best first. No state at all is one source. At each step the K
 * best continuations that do not end go on; one that ends counts where it is among the K best of all. A source is done once K
 * have ended whose scores no hypothesis that goes on has so far; otherwise those that are cut off at `maxLength` count, too.
 *
 * A chunk of steps is one submit and one read, before which the next is submitted; alignments cost one of each more in the
 * end. Modules evaluate. The step is compiled: pass the same function again, and the same plans serve.
 *
 * Throws a ValueError on more beams than tokens, an `eos` or `start` outside of the vocabulary, and scores that are NaN.
 */
export async function beamSearch(
  step: DecoderStep,
  state: readonly Tensor[],
  options: BeamSearchOptions,
): Promise<Hypothesis[][]> {
  expectKind('beamSearch', 'the step', step, callback);
  expectKind('beamSearch', 'the state', state, listOf(tensorLike));
  const given = beamSearchOptions('beamSearch', options);
  const { beams, maxLength, eos, lengthPenalty = 1, nBest = 1, start = eos, chunk = 16 } = given;
  if (nBest > beams) throw new ValueError(`[beamSearch] nBest must be at most beams, ${beams}, got ${nBest}`);
  const B = sources(state);
  const searchChunk = compiledFor(step);
  const searches = Array.from({ length: B }, () => new Search(beams, eos, lengthPenalty));
  const alignments: Tensor[] = [];
  let live: Live | null = null;
  let source: readonly (Tensor | null)[] = state;
  let submitted = 0;
  const submit = async () => {
    const length = Math.min(chunk, maxLength - submitted);
    const before = live;
    const { next, isConstant, ...found } = await searchChunk(source, before, { beams, eos, start, length });
    free(before);
    live = next;
    // What changes goes on with the beams.
    source = state.map((part, i) => (isConstant[i] ? part : null));
    submitted += length;
    if (found.alignment) alignments.push(found.alignment);
    return { ...found, length };
  };
  try {
    for await (const { scores, places, V, length } of ahead(Math.ceil(maxLength / chunk), submit)) {
      const [values, indices] = await Promise.all([readParts(scores), readParts(places)]);
      const width = values.length / (length * B);
      for (let i = 0; i < length * B; i++) {
        const range = [i * width, (i + 1) * width] as const;
        searches[i % B]?.take(values.subarray(...range), indices.subarray(...range), V);
      }
      if (searches.every(({ isDone }) => isDone)) break;
    }
  } finally {
    free(live);
  }
  const rows = alignments.length > 0 ? alignmentRows(alignments, await readAll(alignments), B * beams) : null;
  return searches.map((search, b) =>
    search
      .best()
      .slice(0, nBest)
      .map(({ path, ...hypothesis }) =>
        rows ? { ...hypothesis, alignment: path.map((beam, t) => nth(nth(rows, t), b * beams + beam)) } : hypothesis,
      ),
  );
}

/** How many sources there are. */
function sources(state: readonly Tensor[]): number {
  const [B = 1, ...others] = state.map(({ shape }) => shape[0] ?? 0);
  if (B === 0 || others.some((other) => other !== B))
    throw new ShapeError(
      `[beamSearch] each part of the state must have the sources in dimension 0, got ${state.map(({ shape }) => formatShape(shape)).join(' and ')}`,
    );
  return B;
}

function free(live: Live | null): void {
  for (const tensor of live ? [live.ids, live.scores, ...live.state] : []) tensor.dispose();
}

/** The rows of alignments: of each step, then of each beam of each source, [S]. */
function alignmentRows(tensors: readonly Tensor[], values: readonly HostArray[], N: number): Float32Array[][] {
  return tensors.flatMap(({ shape: [length, , S] }, i) =>
    Array.from({ length: length as number }, (_, t) =>
      Array.from({ length: N }, (_, n) => {
        const first = (t * N + n) * (S as number);
        return (nth(values, i) as Float32Array).slice(first, first + (S as number));
      }),
    ),
  );
}

/** The beams between two steps: the last ids [B·K], log-probabilities [B, K], and what of the state changes, [B·K, …]. */
interface Live {
  readonly ids: Tensor;
  readonly scores: Tensor;
  readonly state: readonly Tensor[];
}

interface Chunk {
  /** The log-probabilities of the best continuations at each step, [length, B, 2K], in parts; and beam · V + id of each. */
  readonly scores: Tensor[];
  readonly places: Tensor[];
  /** [length, B·K, S] */
  readonly alignment: Tensor | null;
  readonly next: Live;
  /** Which parts of the state the step hands on as it got them. */
  readonly isConstant: boolean[];
  readonly V: number;
}

type Sizes = Readonly<Record<'beams' | 'eos' | 'start' | 'length', number>>;
type SearchChunk = Compiled<[source: readonly (Tensor | null)[], live: Live | null, sizes: Sizes], Chunk>;

const compiled = new WeakMap<DecoderStep, SearchChunk>();

function compiledFor(step: DecoderStep): SearchChunk {
  const known = compiled.get(step);
  if (known) return known;
  const made: SearchChunk = compile(
    (source, live, sizes) => evaluating(() => noGrad(() => search(step, source, live, sizes))),
    { plans: 16 },
  );
  compiled.set(step, made);
  return made;
}

/** Some steps of all searches. `source` has the state of each source, without the parts that `live` has. */
function search(
  step: DecoderStep,
  source: readonly (Tensor | null)[],
  live: Live | null,
  { beams: K, eos, start, length }: Sizes,
): Chunk {
  const varying = [...(live?.state ?? [])];
  const given = source.map((part) => (part ? repeated(part, K) : (varying.shift() as Tensor))); // [B·K, …]
  const B = live ? nth(live.scores.shape, 0) : (source[0]?.shape[0] ?? 1);
  const N = B * K;
  const ids = live?.ids ?? full([N], start, 'i32');
  // Beams that begin equal would stay so: the first is the only one that is there.
  const scores = live?.scores ?? where(equal(iota([B, K], 1), 0), full([B, K], 0), 10 * impossible);

  // Asks the step once, outside of the loop, which parts it hands on; what is not used costs nothing.
  const asked = checked(step(ids, [...given]), given, N);
  const isConstant = given.map((part, i) => asked.state[i] === part);
  const V = nth(asked.logits.shape, 1);
  checkVocabulary(V, { beams: K, eos, start });
  const most = Math.min(2 * K, K * V);
  const parts = (changing: readonly Tensor[]) => {
    const rest = [...changing];
    return given.map((part, i) => (isConstant[i] ? part : (rest.shift() as Tensor)));
  };

  const { carry, ys } = scan(
    ([ids, scores, ...changing]) => {
      const now = parts(changing);
      const { logits, state, alignment } = checked(step(ids as Tensor, now), now, N);
      const sums = add(logSoftmax(logits), reshape(scores as Tensor, [N, 1])); // [B·K, V]
      const best = topK(reshape(sums, [B, K * V]), most);
      const beamOf = (places: Tensor) => div(places, V);
      // At least K of the 2K best go on, since each beam has one end. Beams that are not there come before ends.
      const isEnd = equal(sub(best.indices, mul(beamOf(best.indices), V)), eos);
      const kept = topK(where(isEnd, -3e38, best.values), K);
      const places = gather(best.indices, kept.indices, 1); // [B, K]
      const beam = beamOf(places);
      const rows = reshape(add(beam, mul(iota([B, K], 0), K)), [N]);
      const next = [reshape(sub(places, mul(beam, V)), [N]), kept.values];
      const moved = state.filter((_, i) => !isConstant[i]).map((part) => picked(part, rows));
      return { carry: [...next, ...moved], y: [best.values, best.indices, ...(alignment ? [alignment] : [])] };
    },
    [ids, scores, ...given.filter((_, i) => !isConstant[i])],
    [],
    { length },
  );
  const [lastIds, lastScores, ...state] = carry as [Tensor, Tensor, ...Tensor[]];
  const [values, places, alignment = null] = ys as [Tensor, Tensor, Tensor?];
  return {
    scores: inParts(values),
    places: inParts(places),
    alignment,
    next: { ids: lastIds, scores: lastScores, state },
    isConstant,
    V,
  };
}

/** Each row K times: [B, …] → [B·K, …]. */
function repeated(x: Tensor, K: number): Tensor {
  const [B, ...rest] = x.shape as [number, ...number[]];
  return reshape(expand(reshape(x, [B, 1, ...rest]), [B, K, ...rest]), [B * K, ...rest]);
}

/** The given rows of x. */
function picked(x: Tensor, rows: Tensor): Tensor {
  if (x.dtype === 'f32') return indexSelect(x, rows);
  const column = reshape(rows, [rows.size, ...x.shape.slice(1).map(() => 1)]);
  return gather(x, expand(column, x.shape), 0);
}

/** What a step returns, for those who have no compiler to say what it must be. */
function checked(result: ReturnType<DecoderStep>, given: readonly Tensor[], N: number): ReturnType<DecoderStep> {
  const { logits, state, alignment } = (result ?? {}) as Partial<ReturnType<DecoderStep>>;
  if (!tensorLike.accepts(logits) || !listOf(tensorLike).accepts(state))
    throw new ValueError(`[beamSearch] the step must return { logits, state: [tensors] }, got ${shown(result)}`);
  if (logits.rank !== 2 || logits.shape[0] !== N)
    throw new ShapeError(
      `[beamSearch] the step must give logits [N, V] for N = ${N}, got ${formatShape(logits.shape)}`,
    );
  if (state.length !== given.length)
    throw new ShapeError(`[beamSearch] the step returns ${state.length} parts of the state for ${given.length}`);
  for (const [i, { shape, dtype }] of state.entries()) {
    const before = nth(given, i);
    if (!sameShape(shape, before.shape) || dtype !== before.dtype)
      throw new ShapeError(
        `[beamSearch] the step makes part ${i} of the state, ${before.dtype} ${formatShape(before.shape)}, ${dtype} ${formatShape(shape)}; they must be equal`,
      );
  }
  if (alignment && (alignment.rank !== 2 || alignment.shape[0] !== N))
    throw new ShapeError(
      `[beamSearch] the step must give its alignment as [N, S] for N = ${N}, got ${formatShape(alignment.shape)}`,
    );
  return result;
}

function checkVocabulary(V: number, { beams, eos, start }: Pick<Sizes, 'beams' | 'eos' | 'start'>): void {
  if (beams > V)
    throw new ValueError(`[beamSearch] beams must be at most the ${V} tokens of the vocabulary, got ${beams}`);
  for (const [name, id] of Object.entries({ eos, start }))
    if (id >= V) throw new ValueError(`[beamSearch] ${name} is ${id}, which is no id of a vocabulary of ${V}`);
}
