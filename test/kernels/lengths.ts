import type { HostArray } from '../../src/core/dtype.ts';
import { additiveAttention, additiveAttentionBackward } from '../../src/kernels/additiveAttention.ts';
import { attentionBackward, attentionForward } from '../../src/kernels/attention.ts';
import { categorical } from '../../src/kernels/categorical.ts';
import { clipNorm, clipScale } from '../../src/kernels/clip.ts';
import { commit } from '../../src/kernels/commit.ts';
import { conv } from '../../src/kernels/conv.ts';
import { crossEntropy, crossEntropyBackward } from '../../src/kernels/crossEntropy.ts';
import { ctcLoss, ctcLossBackward } from '../../src/kernels/ctcLoss.ts';
import { cumsum } from '../../src/kernels/cumsum.ts';
import { embedding, embeddingBackward } from '../../src/kernels/embedding.ts';
import { familyCall } from '../../src/kernels/family.ts';
import { gather } from '../../src/kernels/gather.ts';
import type { DeviceProfile, Family, KernelCall } from '../../src/kernels/kernel.ts';
import { lstmCell, lstmCellBackward } from '../../src/kernels/lstm.ts';
import { matmul } from '../../src/kernels/matmul.ts';
import { norm, normBackward } from '../../src/kernels/norm.ts';
import { place as placeFamily } from '../../src/kernels/place.ts';
import { maxPool, maxPoolBackward } from '../../src/kernels/pool.ts';
import { recurrentBackward, recurrentForward } from '../../src/kernels/recurrent.ts';
import { reduce } from '../../src/kernels/reduce.ts';
import { resample } from '../../src/kernels/resample.ts';
import { sample } from '../../src/kernels/sample.ts';
import { scatterAdd } from '../../src/kernels/scatterAdd.ts';
import { softmax, softmaxBackward } from '../../src/kernels/softmax.ts';
import { sort } from '../../src/kernels/sort.ts';
import { topK } from '../../src/kernels/topK.ts';
import { adamHyper, adamw, gate, ruled, sgd } from '../../src/kernels/updates.ts';
import type { Output } from '../support/kernels.ts';
import type { Draw } from './draw.ts';
import { biasGelu } from './hooks.ts';
import { place } from './operands.ts';

/** Problems of every family that grow along each of their loops: what turns.test.ts walks. */

export interface Data {
  readonly inputs: readonly HostArray[];
  readonly outputs: readonly Output[];
}

const hyper = () =>
  Float32Array.from(adamHyper({ lr: 0.1, betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.1, decoupled: true }));

/** A family whose problem grows with one number. */
export interface Growth {
  readonly family: string;
  readonly along: string;
  readonly variants: readonly string[];
  /** Whether inputs are small integers, sums of which are exact in any order. */
  readonly exact: boolean;
  /** Whether nothing splits such a loop: beyond all of its variants, a problem is refused. */
  readonly refused: boolean;
  /** Lengths beyond this one show nothing new. */
  readonly most: number;
  call(n: number, profile: DeviceProfile, variant?: string): KernelCall & { readonly variant: string };
  data(n: number, draw: Draw): Data;
}

interface Rest {
  exact?: boolean;
  refused?: boolean;
  most?: number;
}

function growth<Problem>(
  family: Family<Problem>,
  along: string,
  problemOf: (n: number) => Problem,
  dataOf: (n: number, draw: Draw) => Data,
  { exact = false, refused = false, most = 2 ** 20 }: Rest = {},
): Growth {
  return {
    ...{ family: family.name, along, variants: Object.keys(family.variants), exact, refused, most },
    call: (n, profile, variant) => familyCall(family, problemOf(n)).call(profile, variant),
    data: dataOf,
  };
}

const f32 = (length: number): Output => ({ dtype: 'f32', length });
const i32 = (length: number): Output => ({ dtype: 'i32', length });
/** f32 that are integers. */
const whole = (draw: Draw, length: number) => Float32Array.from(draw.i32(length, -3, 4));
const key = Uint32Array.of(1, 2, 3, 4);

const pair = [1, 1] as const;
/** The lines of one row of ones, and of one column. */
const ones = (n: number) => [0, n, ...new Array<number>(n).fill(1), 0, n, ...new Array<number>(n).fill(1)];

/** Three filters along the rows of pictures of 3×3. */
const picture = {
  ...({ groups: 1, filters: 3, image: [3, 3], result: [3, 1], kernel: [1, 3] } as const),
  ...({ stride: [1, 1], dilation: [1, 1], before: [0, 0] } as const),
};

/** Causal, so that a walk begins or ends somewhere else in each workgroup. */
function attention(L: number) {
  const q = place([1, 1, L, 8]);
  const plain = { B: 1, H: 1, L, S: L, D: 8, causal: true, scale: 0.3, dropout: 0, stream: 0 };
  return { ...plain, q, k: q, v: q, O: q };
}
function attentionData(L: number, draw: Draw): Data {
  return { inputs: [draw.f32(8 * L), draw.f32(8 * L), draw.f32(8 * L)], outputs: [f32(8 * L), f32(L)] };
}
function gradients(L: number) {
  const problem = attention(L);
  const at = (offset: number) => place([1, 1, L, 8], { offset });
  return { ...problem, dO: problem.q, dQ: at(0), dK: at(8 * L), dV: at(16 * L) };
}
function gradientData(L: number, draw: Draw): Data {
  const { inputs } = attentionData(L, draw);
  const rest = [draw.f32(8 * L), draw.f32(L, 0.1, Math.log(L)), draw.f32(8 * L)];
  return { inputs: [...inputs, ...rest], outputs: [f32(24 * L)] };
}

/** Additive attention of which one extent grows. */
const sourceOf = (along: 'Q' | 'S' | 'A' | 'D', n: number) => ({ B: 2, Q: 1, S: 3, A: 3, D: 3, [along]: odd(n) });

/** Two sequences of which the times or the labels grow. */
const speechOf = (along: 'T' | 'L', n: number) => ({
  ...{ T: 3, B: 2, C: 3, L: 2, blank: 0, types: ['i32', 'i32', 'i32'] as const },
  [along]: n,
});
function speechData(along: 'T' | 'L', n: number, draw: Draw) {
  const { T, L } = speechOf(along, n);
  return [draw.f32(2 * T * 3, 1, -1), draw.i32(2 * L, 1, 3), Int32Array.of(T, T), Int32Array.of(L, L)];
}

const entropy = (V: number) => ({
  ...{ rows: 2, V, ignoreIndex: -100, labelSmoothing: 0.1, targetDType: 'i32' as const },
});
const entropyData = (V: number, draw: Draw) => [draw.f32(2 * V), Int32Array.of(0, V - 1)] as const;

const ids = (count: number) => ({ count, V: 5, E: 3, indexDType: 'i32' as const });
const idsData = (count: number, draw: Draw) => [whole(draw, 3 * count), draw.i32(count, 0, 5)];
const indices = (m: number) => ({ outer: 2, n: 5, inner: 2, m, dtype: 'f32' as const, indexDType: 'i32' as const });

const lstm = (T: number, H: number) => ({ cell: 'lstm' as const, T, B: 2, H, reverse: false, lengths: false });
function lstmData(T: number, H: number, draw: Draw): Data {
  const inputs = [draw.f32(8 * T * H), draw.f32(2 * H), draw.f32(4 * H * H, 1 / Math.sqrt(H)), draw.f32(2 * H)];
  return { inputs, outputs: [f32(2 * T * H), f32(2 * T * H), f32(8 * T * H)] };
}
function lstmBackwardData(T: number, H: number, draw: Draw): Data {
  const weights = draw.f32(4 * H * H, 0.5 / Math.sqrt(H));
  const inputs = [draw.f32(2 * T * H), weights, draw.f32(8 * T * H, 0.4, 0.5), draw.f32(2 * T * H), draw.f32(2 * H)];
  return { inputs, outputs: [f32(8 * T * H), f32(4 * H)] };
}

// Lengths that are odd have no vectors: turns then grow with them.
const odd = (n: number) => 2 * n + 1;
const product = (K: number) => ({
  ...{ batch: [], M: 1, N: 5, K, a: place([1, K]), b: place([K, 5]), sum: { of: 'b', output: 1 } as const },
});

export const growths: readonly Growth[] = [
  growth(
    matmul,
    'K',
    (n) => product(odd(n)),
    (n, draw) => ({ inputs: [whole(draw, odd(n)), whole(draw, 5 * odd(n))], outputs: [f32(5), f32(5)] }),
    { exact: true },
  ),
  growth(
    conv,
    'channels',
    (channels) => ({ ...picture, makes: 'output' as const, B: 1, channels }),
    (n, draw) => ({ inputs: [whole(draw, 9 * n), whole(draw, 9 * n)], outputs: [f32(9)] }),
    { exact: true },
  ),
  growth(
    conv,
    'pictures',
    (B) => ({ ...picture, makes: 'weight' as const, B, channels: 1 }),
    (n, draw) => ({ inputs: [whole(draw, 9 * n), whole(draw, 9 * n)], outputs: [f32(9)] }),
    { exact: true },
  ),
  growth(
    maxPool,
    'rows of a window',
    (n) => ({ planes: 2, image: [n, 2] as const, result: pair, taps: [n, 2] as const, dilation: pair }),
    (n, draw) => ({ inputs: [draw.f32(4 * n), Float32Array.of(0, n, 0, 2)], outputs: [f32(2), i32(2)] }),
    { exact: true, refused: true },
  ),
  growth(
    maxPoolBackward,
    'windows of a pixel',
    (n) => ({ planes: 2, image: pair, result: [n, 1] as const, taps: [n, 1] as const }),
    (n, draw) => ({
      inputs: [whole(draw, 2 * n), new Int32Array(2 * n), Float32Array.of(0, n, 0, 1)],
      outputs: [f32(2)],
    }),
    { exact: true, refused: true },
  ),
  growth(
    resample,
    'rows and columns of a window',
    (n) => ({ planes: 2, from: [n, n] as const, to: pair, taps: [n, n] as const }),
    (n, draw) => ({ inputs: [whole(draw, 2 * n * n), Float32Array.from(ones(n))], outputs: [f32(2)] }),
    { exact: true, refused: true, most: 2 ** 11 },
  ),
  growth(
    attentionForward,
    'positions',
    (n) => attention(n),
    (n, draw) => attentionData(n, draw),
  ),
  growth(
    attentionBackward,
    'positions',
    (n) => gradients(n),
    (n, draw) => gradientData(n, draw),
  ),
  ...(['Q', 'S', 'A', 'D'] as const).flatMap((along) => [
    growth(
      additiveAttention,
      along,
      (n) => ({ ...sourceOf(along, n), lengths: 'i32' as const }),
      (n, draw) => {
        const { B, Q, S, A, D } = sourceOf(along, n);
        const inputs = [B * Q * A, B * S * A, B * S * D, A].map((length) => draw.f32(length));
        return { inputs: [...inputs, draw.i32(B, 1, S + 1)], outputs: [f32(B * Q * D), f32(B * Q * S)] };
      },
      { refused: along !== 'Q' },
    ),
    growth(
      additiveAttentionBackward,
      along,
      (n) => {
        const { B, Q, S, A, D } = sourceOf(along, n);
        const offsets = [B * Q * A, B * (Q + S) * A, B * (Q + S) * A + B * S * D] as const;
        return { B, Q, S, A, D, weighted: true, offsets };
      },
      (n, draw) => {
        const { B, Q, S, A, D } = sourceOf(along, n);
        const inputs = [B * Q * A, B * S * A, B * S * D, A].map((length) => draw.f32(length));
        const weights = draw.f32(B * Q * S, 0.5 / S, 0.5 / S);
        return {
          inputs: [...inputs, weights, draw.f32(B * Q * D), draw.f32(B * Q * S)],
          outputs: [f32(B * (Q + S) * A + B * S * D + A)],
        };
      },
      { refused: true },
    ),
  ]),
  ...[softmax, softmaxBackward].map((family, i) =>
    growth(
      family,
      'n',
      (n) => ({ log: true, outer: 2, n: odd(n), inner: 1 }),
      (n, draw) => ({
        inputs: Array.from({ length: 1 + i }, () => draw.f32(2 * odd(n))),
        outputs: [f32(2 * odd(n))],
      }),
      { refused: true },
    ),
  ),
  growth(
    norm,
    'E',
    (n) => ({ kind: 'layer', rows: 2, E: odd(n), eps: 1e-5, weight: true, bias: false }),
    (n, draw) => ({ inputs: [draw.f32(2 * odd(n)), draw.f32(odd(n))], outputs: [f32(2 * odd(n)), f32(4)] }),
    { refused: true },
  ),
  growth(
    normBackward,
    'E',
    (n) => ({ kind: 'layer', rows: 2, E: odd(n), weight: true, bias: true }),
    (n, draw) => ({
      inputs: [draw.f32(2 * odd(n)), Float32Array.of(0, 1, 0.1, 0.9), draw.f32(odd(n)), draw.f32(2 * odd(n))],
      outputs: [f32(2 * odd(n)), f32(odd(n)), f32(odd(n))],
    }),
    { refused: true },
  ),
  growth(
    normBackward,
    'rows',
    (rows) => ({ kind: 'layer', rows, E: 1, weight: true, bias: true }),
    (rows, draw) => ({
      inputs: [draw.f32(rows), draw.f32(2 * rows, 0.1, 1), draw.f32(1), draw.f32(rows)],
      outputs: [f32(rows), f32(1), f32(1)],
    }),
  ),
  ...[1, 3].map((inner) =>
    growth(
      reduce,
      inner === 1 ? 'rows' : 'columns',
      (n) => ({ kind: 'sum', dtype: 'f32', outer: 2, n: odd(n), inner }),
      (n, draw) => ({ inputs: [whole(draw, 2 * odd(n) * inner)], outputs: [f32(2 * inner)] }),
      { exact: true },
    ),
  ),
  growth(
    reduce,
    'rows, for an index',
    (n) => ({ kind: 'argMax', dtype: 'f32', outer: 2, n: odd(n), inner: 1 }),
    (n, draw) => ({ inputs: [whole(draw, 2 * odd(n))], outputs: [i32(2)] }),
    { exact: true },
  ),
  growth(
    crossEntropy,
    'V',
    (n) => entropy(odd(n)),
    (n, draw) => ({ inputs: entropyData(odd(n), draw), outputs: [f32(2), f32(4), f32(2)] }),
    { refused: true },
  ),
  growth(
    crossEntropyBackward,
    'V',
    (n) => entropy(odd(n)),
    (n, draw) => {
      const statistics = Float32Array.of(1, Math.log(odd(n)), 1, Math.log(odd(n)));
      return { inputs: [...entropyData(odd(n), draw), statistics, Float32Array.of(1, 2)], outputs: [f32(2 * odd(n))] };
    },
    { refused: true },
  ),
  ...(['T', 'L'] as const).flatMap((along) => [
    growth(
      ctcLoss,
      along,
      (n) => speechOf(along, n),
      (n, draw) => {
        const { T, L } = speechOf(along, n);
        return { inputs: speechData(along, n, draw), outputs: [f32(2), f32(2 * T * (2 * L + 1))] };
      },
      { refused: true, most: 2 ** 14 },
    ),
    growth(
      ctcLossBackward,
      along,
      (n) => speechOf(along, n),
      (n, draw) => {
        const { T, L } = speechOf(along, n);
        const rest = [draw.f32(2 * T * (2 * L + 1)), Float32Array.of(1, 1, 2, 1)];
        return { inputs: [...speechData(along, n, draw), ...rest], outputs: [f32(2 * T * 3)] };
      },
      { refused: true, most: 2 ** 14 },
    ),
  ]),
  growth(
    cumsum,
    'n',
    (n) => ({ outer: 2, n, inner: 2, reverse: true, dtype: 'f32' }),
    (n, draw) => ({ inputs: [whole(draw, 4 * n)], outputs: [f32(4 * n)] }),
    { exact: true },
  ),
  growth(embedding, 'count', ids, (n, draw) => ({ inputs: [draw.f32(15), draw.i32(n, 0, 5)], outputs: [f32(3 * n)] }), {
    exact: true,
  }),
  growth(embeddingBackward, 'count', ids, (n, draw) => ({ inputs: idsData(n, draw), outputs: [f32(15)] }), {
    exact: true,
  }),
  growth(
    embeddingBackward,
    'count, with a tail',
    (n) => ({ ...ids(n), store: biasGelu([5, 3], 2) }),
    (n, draw) => ({ inputs: [...idsData(n, draw), draw.f32(3)], outputs: [f32(15)] }),
    { exact: true },
  ),
  growth(
    gather,
    'm',
    indices,
    (m, draw) => ({ inputs: [draw.f32(20), draw.i32(4 * m, 0, 5)], outputs: [f32(4 * m)] }),
    { exact: true },
  ),
  growth(
    scatterAdd,
    'm',
    indices,
    (m, draw) => ({ inputs: [whole(draw, 20), draw.i32(4 * m, 0, 5), whole(draw, 4 * m)], outputs: [f32(20)] }),
    { exact: true },
  ),
  growth(
    sort,
    'n',
    (n) => ({ rows: 2, n, descending: false, dtype: 'f32' }),
    (n, draw) => ({ inputs: [draw.f32(2 * n)], outputs: [f32(2 * n), i32(2 * n)] }),
    { exact: true },
  ),
  growth(
    topK,
    'n',
    (n) => ({ rows: 2, n: n + 3, k: 3, largest: true }),
    (n, draw) => ({ inputs: [draw.f32(2 * n + 6)], outputs: [f32(6), i32(6)] }),
    { exact: true },
  ),
  growth(
    categorical,
    'n',
    (n) => ({ rows: 2, n, stream: 0 }),
    (n, draw) => ({ inputs: [draw.f32(2 * n), key], outputs: [i32(2)] }),
    { exact: true, refused: true },
  ),
  growth(
    sample,
    'n',
    (n) => ({ rows: 2, n, stream: 0 }),
    (n, draw) => ({ inputs: [draw.f32(2 * n), Float32Array.of(1, 5, 0.9, 0), key], outputs: [i32(2)] }),
    { exact: true, refused: true, most: 2 ** 10 },
  ),
  growth(
    recurrentForward,
    'T',
    (T) => lstm(T, 3),
    (T, draw) => lstmData(T, 3, draw),
    { most: 2 ** 10 },
  ),
  growth(
    recurrentBackward,
    'T',
    (T) => lstm(T, 3),
    (T, draw) => lstmBackwardData(T, 3, draw),
    { most: 2 ** 10 },
  ),
  growth(
    recurrentForward,
    'H',
    (n) => lstm(1, odd(n)),
    (n, draw) => lstmData(1, odd(n), draw),
    { refused: true, most: 2 ** 9 },
  ),
  growth(
    recurrentBackward,
    'H',
    (n) => lstm(1, odd(n)),
    (n, draw) => lstmBackwardData(1, odd(n), draw),
    { refused: true, most: 2 ** 9 },
  ),
  growth(
    lstmCell,
    'B',
    (B) => ({ B, H: 3 }),
    (B, draw) => ({ inputs: [draw.f32(12 * B), draw.f32(3 * B)], outputs: [f32(3 * B), f32(3 * B), f32(12 * B)] }),
  ),
  growth(
    lstmCellBackward,
    'B',
    (B) => ({ B, H: 3 }),
    (B, draw) => ({
      inputs: [3, 3, 12, 3, 3].map((each) => draw.f32(each * B)),
      outputs: [f32(12 * B), f32(3 * B)],
    }),
  ),
  growth(
    placeFamily,
    'size',
    (size) => ({ size, padded: size, offset: 3, dtype: 'f32' }),
    (size, draw) => ({ inputs: [draw.f32(size + 5), draw.f32(size)], outputs: [f32(size + 5)] }),
    { exact: true },
  ),
  growth(
    commit,
    'size',
    (size) => ({ size, dtype: 'f32', fresh: true }),
    (size, draw) => ({ inputs: [draw.f32(size)], outputs: [f32(size)] }),
    { exact: true },
  ),
  growth(
    adamw,
    'N',
    (N) => ({ N, members: 1, groups: 1, by: 'counts', finding: 0, firstBlock: 0 }),
    (n, draw) => ({
      inputs: [draw.f32(n), draw.f32(n), draw.f32(n), draw.f32(n, 0.5, 1), hyper(), Int32Array.of(1)],
      outputs: [f32(n), f32(n), f32(n), { dtype: 'i32', length: 1 }],
    }),
  ),
  growth(
    sgd,
    'N',
    (N) => ({ N, members: 1, groups: 1, by: 'counts', momentum: false, finding: 0, firstBlock: 0 }),
    (n, draw) => ({
      inputs: [draw.f32(n), draw.f32(n), draw.f32(7, 0.1, 0.5), Int32Array.of(1)],
      outputs: [f32(n), { dtype: 'i32', length: 1 }],
    }),
  ),
  growth(
    ruled,
    'N',
    (N) => ({ N, members: 1, groups: 1, by: 'counts', rule: 'adagrad', finding: 0, firstBlock: 0 }),
    (n, draw) => ({
      inputs: [draw.f32(n), draw.f32(n), draw.f32(7, 0.1, 0.5), draw.f32(n, 0.5, 1), Int32Array.of(1)],
      outputs: [f32(n), f32(n), { dtype: 'i32', length: 1 }],
    }),
  ),
  growth(
    gate,
    'members',
    (members) => ({ members, scaled: false, skips: null }),
    (members, draw) => ({
      inputs: [draw.i32(members, 0, 9), new Uint32Array(members)],
      outputs: [{ dtype: 'i32', length: members }, f32(4 * members)],
    }),
    { exact: true },
  ),
  growth(
    clipNorm,
    'N',
    (n) => ({ N: odd(n), maxNorm: 1, strict: false }),
    (n, draw) => ({ inputs: [whole(draw, odd(n))], outputs: [f32(1), f32(1)] }),
    { exact: true },
  ),
  growth(
    clipScale,
    'count',
    (count) => ({ count, maxNorm: 1, strict: false }),
    (count, draw) => ({ inputs: [draw.f32(count, 0.5, 1)], outputs: [f32(1), f32(1)] }),
    { refused: true },
  ),
];
