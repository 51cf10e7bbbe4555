import type { DType } from '../../src/core/dtype.ts';
import { denseLayout } from '../../src/core/layout.ts';
import type { OpDef } from '../../src/graph/op.ts';
import { additiveAttention, additiveAttentionBackward } from '../../src/kernels/additiveAttention.ts';
import { attentionBackward, attentionForward } from '../../src/kernels/attention.ts';
import { categorical } from '../../src/kernels/categorical.ts';
import { clipNorm, clipScale } from '../../src/kernels/clip.ts';
import { commit } from '../../src/kernels/commit.ts';
import { type ConvProblem, conv } from '../../src/kernels/conv.ts';
import { crossEntropy, crossEntropyBackward } from '../../src/kernels/crossEntropy.ts';
import { ctcLoss, ctcLossBackward } from '../../src/kernels/ctcLoss.ts';
import { cumsum } from '../../src/kernels/cumsum.ts';
import { type Chain, elementwiseKernel } from '../../src/kernels/elementwise.ts';
import { embedding, embeddingBackward } from '../../src/kernels/embedding.ts';
import { familyCall } from '../../src/kernels/family.ts';
import { gather } from '../../src/kernels/gather.ts';
import type { DeviceProfile, Dispatch, Family, KernelCall } from '../../src/kernels/kernel.ts';
import { lstmCell, lstmCellBackward } from '../../src/kernels/lstm.ts';
import { matmul } from '../../src/kernels/matmul.ts';
import { norm, normBackward } from '../../src/kernels/norm.ts';
import { place as placeFamily } from '../../src/kernels/place.ts';
import { type MaxPoolProblem, maxPool, maxPoolBackward } from '../../src/kernels/pool.ts';
import { recurrentBackward, recurrentForward } from '../../src/kernels/recurrent.ts';
import { type ReduceKind, reduce } from '../../src/kernels/reduce.ts';
import { type ResampleProblem, resample } from '../../src/kernels/resample.ts';
import { sample } from '../../src/kernels/sample.ts';
import { scatterAdd } from '../../src/kernels/scatterAdd.ts';
import { softmax, softmaxBackward } from '../../src/kernels/softmax.ts';
import { sort } from '../../src/kernels/sort.ts';
import { topK } from '../../src/kernels/topK.ts';
import { adamw, gate, ruled, sgd } from '../../src/kernels/updates.ts';
import { elementwiseOps } from '../../src/ops/elementwise.ts';
import { biasGelu, halfBackwards, productOfInputs, residual } from './hooks.ts';
import { place } from './operands.ts';

/** Problems that lead selection to every combination of the constants that it can choose, family by family. */

/** All combinations of some values for each key. */
function* product<T extends Record<string, readonly unknown[]>>(axes: T): Generator<{ [K in keyof T]: T[K][number] }> {
  const [first, ...rest] = Object.entries(axes);
  if (!first) return yield {} as never;
  for (const value of first[1]) {
    for (const others of product(Object.fromEntries(rest))) yield { [first[0]]: value, ...others } as never;
  }
}

const flags = [false, true] as const;
/** Extents that pass every power of two, as a multiple of four and not. */
const extents = Array.from({ length: 22 }, (_, i) => 2 ** i).flatMap((n) => [n, n + 1]);
const indices = ['i32', 'u32'] as const;

function* matmuls() {
  const sizes = [
    [1, 256, 64],
    [256, 1, 64],
    [8, 8, 32],
    [32, 32, 32],
    [512, 512, 32],
    [1024, 2048, 32],
    [4096, 4096, 32],
    [32, 32, 2 ** 19],
    [128, 128, 2048],
  ] as const;
  for (const { size, m, n, k, layout, offsetA, offsetB, tail } of product({
    size: sizes,
    m: [0, 1],
    n: [0, 1],
    k: [0, 1],
    layout: ['NN', 'NT', 'TN', 'TT'] as const,
    offsetA: [0, 1],
    offsetB: [0, 1],
    tail: ['none', 'bias', 'residual', 'sum'] as const,
  })) {
    const [M, N, K] = [size[0] + (size[0] > 1 ? m : 0), size[1] + (size[1] > 1 ? n : 0), size[2] + k];
    // One alignment that differs is enough of a pair with an epilogue: they do not meet in the text.
    if (tail !== 'none' && (offsetA !== offsetB || m !== k)) continue;
    const order = (letter?: string) => (letter === 'T' ? [1, 0] : [0, 1]);
    // A sum needs an operand that is contiguous across K: of those there are, the first.
    const of = layout[0] === 'T' ? 'a' : 'b';
    if (tail === 'sum' && layout === 'NT') continue;
    const extra = {
      none: {},
      bias: { epilogue: biasGelu([M, N], 2) },
      residual: { epilogue: residual([M, N], 2, 1) },
      sum: { sum: { of, output: 1 } as const },
    }[tail];
    yield {
      ...{ batch: [], M, N, K, ...extra },
      a: place([M, K], { order: order(layout[0]), offset: offsetA }),
      b: place([K, N], { order: order(layout[1]), offset: offsetB }),
    };
  }
}

function* convolutions(): Generator<ConvProblem> {
  // Widths in fours and not, one channel and many, one tap and many, windows side by side and apart.
  for (const { makes, size, width, kernel, stride, tail } of product({
    makes: ['output', 'input', 'weight'] as const,
    size: [
      [1, 1, 1],
      [5, 8, 8],
      [32, 64, 64],
      [1024, 256, 512],
    ] as const,
    width: [6, 8],
    kernel: [
      [1, 1],
      [2, 2],
      [3, 3],
    ] as const,
    stride: [1, 2],
    tail: flags,
  })) {
    const [B, channels, filters] = size;
    if (tail && (kernel[0] === 2 || stride === 2)) continue;
    const result = [
      1 + Math.floor((8 - kernel[0]) / stride),
      1 + Math.floor((width - 2 * kernel[1] + 1) / stride),
    ] as const;
    const problem = {
      ...({ makes, B, groups: 1, channels, filters, image: [8, width], result, kernel } as const),
      ...({ stride: [stride, stride], dilation: [1, 2], before: [0, 0] } as const),
    };
    yield { ...problem, ...(tail && { epilogue: biasGelu([B * filters, result[1]], 2) }) };
  }
}

function* pools(): Generator<MaxPoolProblem> {
  const windows = { planes: 6, image: [8, 8], result: [4, 4], taps: [2, 2], dilation: [1, 1] } as const;
  yield windows;
  yield { ...windows, store: biasGelu([6, 16], 2) };
}

function* resamplings(): Generator<ResampleProblem> {
  for (const { taps, tail } of product({ taps: [2, 9], tail: flags })) {
    const problem = { planes: 6, from: [8, 8], to: [4, 4], taps: [taps, taps] } as const;
    yield { ...problem, ...(tail && { store: biasGelu([6, 16], 2) }) };
  }
}

function* attentions() {
  // The batch decides on a software adapter whether lanes work on one block or on many.
  for (const { B, D, causal, masked, dropout, aligned, S } of product({
    B: [1, 4096],
    D: [1, 6, 8, 33, 64, 66, 128],
    causal: flags,
    masked: flags,
    dropout: [0, 0.1],
    aligned: flags,
    S: [16, 15],
  })) {
    // Options meet each other at two head sizes; what is left depends on the head size alone.
    if (![6, 8].includes(D) && (causal || masked || dropout > 0 || S !== 16)) continue;
    const [q, k] = [place([B, 2, 16, D], { offset: aligned ? 0 : 1 }), place([B, 2, S, D])];
    const mask = masked ? { mask: place([B, 2, 16, S], { broadcast: [0] }) } : {};
    const gradients = { dQ: q, dK: k, dV: k };
    yield {
      B,
      H: 2,
      L: 16,
      S,
      D,
      causal,
      scale: 1,
      dropout,
      stream: 0,
      q,
      k,
      v: k,
      O: q,
      dO: q,
      ...gradients,
      ...mask,
    };
  }
}

function* norms() {
  for (const { kind, E, affine, tail } of product({
    kind: ['layer', 'rms'] as const,
    E: extents,
    affine: [0, 1, 2],
    tail: flags,
  })) {
    // A tail has the width in its text, and meets vectors or not: a few widths show that.
    if (tail && ![3, 4, 1024, 1025].includes(E)) continue;
    const store = tail ? { store: biasGelu([4, E], 1 + affine) } : {};
    yield { kind, rows: 4, E, eps: 1e-5, weight: affine > 0, bias: affine > 1, ...store };
  }
}

function* reductions() {
  const kinds: readonly (readonly [ReduceKind, readonly ('f32' | 'i32' | 'u32')[]])[] = [
    ...(['sum', 'max', 'min', 'argMax', 'argMin'] as const).map((kind) => [kind, ['f32', 'i32', 'u32']] as const),
    ...(['mean', 'sumSquares', 'logSumExp'] as const).map((kind) => [kind, ['f32']] as const),
  ];
  for (const [kind, types] of kinds) {
    for (const { dtype, n, inner } of product({ dtype: types, n: extents, inner: [1, 3, 4] }))
      yield { kind, dtype, outer: 4, n, inner };
  }
  for (const { n, inner, tail, load } of product({ n: extents, inner: [1, 3, 4], tail: flags, load: flags })) {
    if (load && ![1, 3, 4, 1024, 1025, 2 ** 17].includes(n)) continue;
    const hooks = {
      ...(tail && { store: biasGelu([4, inner], load ? 2 : 1) }),
      ...(load && { load: productOfInputs(4 * n * inner, 0) }),
    };
    yield { kind: 'sum' as const, dtype: 'f32' as const, outer: 4, n, inner, ...hooks };
  }
}

/** The call that selection chooses for each problem. */
const selected =
  <Problem>(family: Family<Problem>, problems: () => Iterable<Problem>) =>
  (profile: DeviceProfile): KernelCall[] =>
    Array.from(problems(), (problem) => {
      return familyCall(family, problem).call(profile);
    });

const softmaxes = () => product({ log: flags, outer: [4], n: extents, inner: [1, 3, 4] });
const entropies = () =>
  product({ rows: [4], V: extents, ignoreIndex: [-100], labelSmoothing: [0], targetDType: indices });
function* embeddings() {
  for (const problem of product({ count: [64, 2 ** 15], V: [65], E: [1, 3, 4, 64, 66], indexDType: indices })) {
    yield problem;
    yield { ...problem, store: biasGelu([problem.count, problem.E], 2) };
  }
}
const indexings = () =>
  product({
    outer: [2],
    n: [3, 1000],
    inner: [2],
    m: [5, 20],
    dtype: ['f32', 'i32', 'u32', 'bool'] as const,
    indexDType: indices,
  });
const speeches = () =>
  product({
    ...{ T: [3], B: [2], C: [5], L: [1, 100, 1000], blank: [0] },
    types: indices.flatMap((a) => indices.flatMap((b) => indices.map((c) => [a, b, c] as const))),
  });
const hiddenSizes = [...extents.filter((n) => n <= 1025), 6, 12, 20, 48, 100];
/** All sizes of LSTMs; of the other cells, which differ in what runs at each step, those that choose another text. */
function* recurrences() {
  yield* product({ cell: ['lstm'] as const, T: [1, 2], B: [3], H: hiddenSizes, reverse: flags, lengths: [false] });
  yield* product({
    cell: ['lstm', 'gru', 'tanh', 'relu'] as const,
    T: [2],
    B: [3],
    H: [6, 64, 1024],
    reverse: [false],
    lengths: flags,
    bias: flags,
  });
  // More rows than one block of a thread has.
  yield* product({
    cell: ['lstm', 'gru', 'tanh'] as const,
    ...{ T: [2], B: [12], H: [128], reverse: [false], lengths: flags, bias: [false] },
  });
}
function* recurrentGradients() {
  for (const problem of recurrences())
    for (const load of [undefined, halfBackwards(6, 6)])
      for (const dC of problem.cell === 'lstm' ? flags : [false]) yield { ...problem, dC, ...(load ? { load } : {}) };
}
const cells = () => product({ B: [3], H: [1, 64] });
const packs = () =>
  product({
    N: [64, 63, 4096],
    members: [2],
    groups: [1, 2],
    by: ['counts', 'scale', 'gate'] as const,
    momentum: flags,
    finding: [0],
    firstBlock: [0],
  });

/** Every elementwise op on every type that it takes, an element and four at a time. */
function elementwiseCalls(profile: DeviceProfile): KernelCall[] {
  const calls: KernelCall[] = [];
  const types: readonly DType[] = ['f32', 'i32', 'u32', 'bool'];
  for (const [name, { infer, lowering }] of Object.entries<OpDef>(elementwiseOps)) {
    if (lowering.kind !== 'elementwise') continue;
    for (const { a, b, c, to, size } of product({ a: types, b: types, c: types, to: types, size: [7, 8] })) {
      const shape = [size];
      const attributes = { slope: 0.1, alpha: 1, min: 1, max: 2, value: 1, dtype: to, shape };
      if (to !== 'f32' && name !== 'cast' && name !== 'full') continue;
      const count = name === 'full' ? 0 : name === 'where' ? 3 : arity(lowering.expression.toString());
      const argumentTypes = [a, b, c].slice(0, count);
      if ((count < 3 && c !== 'f32') || (count < 2 && b !== 'f32') || (count < 1 && a !== 'f32')) continue;
      let dtype: DType | undefined;
      try {
        dtype = infer(
          argumentTypes.map((each) => ({ shape, dtype: each })),
          attributes,
        )[0]?.dtype;
      } catch {
        continue;
      }
      const chain: Chain = {
        size,
        buffers: argumentTypes,
        steps: [
          {
            ...{ lowering, attributes, argumentTypes, shape, dtype: dtype as DType },
            arguments: argumentTypes.map((_, buffer) => ({ load: { buffer, layout: denseLayout(shape) } })),
          },
        ],
        outputs: [0],
      };
      calls.push(elementwiseKernel(chain, name, profile));
    }
  }
  return calls;
}

/** Number of inputs that an expression names: `([a, b]) => …`. */
const arity = (text: string) => /\[([^\]]*)\]/.exec(text)?.[1]?.split(',').length ?? 0;

const families: Readonly<Record<string, (profile: DeviceProfile) => KernelCall[]>> = {
  matmul: selected(matmul, matmuls),
  maxPool: selected(maxPool, pools),
  maxPoolBackward: selected(maxPoolBackward, pools),
  resample: selected(resample, resamplings),
  conv: selected(conv, convolutions),
  attentionForward: selected(attentionForward, attentions),
  attentionBackward: selected(attentionBackward, attentions),
  additiveAttention: selected(additiveAttention, () =>
    product({ B: [2, 64], Q: [1, 2000], S: [5, 300], A: [4, 7], D: [4, 7], lengths: ['i32', 'u32', null] as const }),
  ),
  additiveAttentionBackward: selected(additiveAttentionBackward, () =>
    product({
      ...{ B: [2, 64], Q: [1, 2000], S: [5, 300], A: [4, 7], D: [4, 7], weighted: flags },
      offsets: [[64, 128, 192] as const],
    }),
  ),
  softmax: selected(softmax, softmaxes),
  softmaxBackward: selected(softmaxBackward, softmaxes),
  norm: selected(norm, norms),
  normBackward: selected(normBackward, norms),
  reduce: selected(reduce, reductions),
  crossEntropy: selected(crossEntropy, entropies),
  crossEntropyBackward: selected(crossEntropyBackward, entropies),
  ctcLoss: selected(ctcLoss, speeches),
  ctcLossBackward: selected(ctcLossBackward, speeches),
  cumsum: selected(cumsum, () =>
    product({ outer: [2], n: [7, 1000, 100000], inner: [1, 3], reverse: flags, dtype: ['f32', 'i32', 'u32'] as const }),
  ),
  embedding: selected(embedding, embeddings),
  embeddingBackward: selected(embeddingBackward, embeddings),
  gather: selected(gather, indexings),
  scatterAdd: selected(scatterAdd, function* () {
    for (const problem of indexings()) if (problem.dtype !== 'bool') yield problem;
  }),
  place: selected(placeFamily, () =>
    product({ size: [5, 2 ** 15], padded: [2 ** 15], offset: [3, 4], dtype: ['f32', 'i32', 'u32', 'bool'] as const }),
  ),
  commit: selected(commit, () =>
    product({ size: [5, 2 ** 15], dtype: ['f32', 'i32', 'u32', 'bool'] as const, fresh: flags }),
  ),
  sort: selected(sort, () =>
    product({ rows: [2], n: [1, 100, 300, 2000, 70000], descending: flags, dtype: ['f32', 'i32', 'u32'] as const }),
  ),
  topK: selected(topK, function* () {
    for (const problem of product({
      rows: [2],
      n: [1, 100, 300, 2000, 70000],
      k: [1, 5, 128, 129, 1000],
      largest: flags,
    })) {
      if (problem.k <= problem.n) yield problem;
    }
  }),
  categorical: selected(categorical, () => product({ rows: [2], n: [2, 256, 257, 2 ** 18], stream: [0] })),
  sample: selected(sample, () => product({ rows: [2], n: [2, 257, 2 ** 18], stream: [0] })),
  adamw: selected(adamw, packs),
  sgd: selected(sgd, packs),
  ruled: selected(ruled, function* () {
    for (const { momentum, ...pack } of packs())
      for (const rule of ['rmsprop', 'rmspropMomentum', 'rmspropCentered', 'adagrad', 'lion'] as const)
        if (!momentum) yield { ...pack, rule };
  }),
  gate: selected(gate, () => product({ members: [3], scaled: flags, skips: [null, 0] })),
  clipNorm: selected(clipNorm, () => product({ N: [64, 63, 2 ** 20], maxNorm: [1], strict: flags })),
  clipScale: selected(clipScale, () => [{ count: 5, maxNorm: 1, strict: false }]),
  recurrentForward: selected(recurrentForward, recurrences),
  recurrentBackward: selected(recurrentBackward, recurrentGradients),
  lstmCell: selected(lstmCell, cells),
  lstmCellBackward: selected(lstmCellBackward, cells),
  elementwise: elementwiseCalls,
};

export const familyNames = Object.keys(families);

/** Every dispatch that selection can choose for a family, as far as constants and hooks go. */
export function dispatchesOf(family: string, profile: DeviceProfile): Dispatch[] {
  return (families[family] as (profile: DeviceProfile) => KernelCall[])(profile).flatMap(
    ({ dispatches }) => dispatches,
  );
}
