import { describe, expect, it } from 'vitest';
import type { HostArray } from '../../src/core/dtype.ts';
import { additiveAttention, additiveAttentionBackward } from '../../src/kernels/additiveAttention.ts';
import { attentionBackward, attentionForward } from '../../src/kernels/attention.ts';
import { categorical } from '../../src/kernels/categorical.ts';
import { clipNorm } from '../../src/kernels/clip.ts';
import { ctcLoss } from '../../src/kernels/ctcLoss.ts';
import { cumsum } from '../../src/kernels/cumsum.ts';
import type { DeviceProfile, Family, KernelCall, SelectionProfile, Variant } from '../../src/kernels/kernel.ts';
import { defaultProfile } from '../../src/kernels/kernel.ts';
import { matmul } from '../../src/kernels/matmul.ts';
import { normBackward } from '../../src/kernels/norm.ts';
import { recurrentBackward, recurrentForward } from '../../src/kernels/recurrent.ts';
import { reduce } from '../../src/kernels/reduce.ts';
import { sample } from '../../src/kernels/sample.ts';
import { softmax } from '../../src/kernels/softmax.ts';
import { sort } from '../../src/kernels/sort.ts';
import { topK } from '../../src/kernels/topK.ts';
import { runtime } from '../support/environment.ts';
import { barriersOf, isSoftware, type Output, type Run, runCall, sameBits } from '../support/kernels.ts';
import { Draw } from './draw.ts';
import { place } from './operands.ts';

/**
 * Every barrier is needed: without it, in one order of lanes or the other, some call gives other bits than with it. On
 * adapters that run lanes in step this is a matter of luck, so the test is for software adapters.
 *
 * The calls name their selection profile themselves.
 */

interface Trial {
  readonly call: KernelCall;
  readonly inputs: readonly HostArray[];
  readonly outputs: readonly Output[];
}

const draw = new Draw(1);
const i32 = (length: number): Output => ({ dtype: 'i32', length });

/** A call of a variant with drawn inputs of these lengths, f32 unless given as arrays, and outputs of those. */
function trial<Problem>(
  family: Family<Problem>,
  variant: string,
  selection: SelectionProfile,
  problem: Problem,
  inputs: readonly (number | HostArray)[],
  outputs: readonly (number | Output)[],
): Trial {
  const device: DeviceProfile = { ...defaultProfile, selection };
  return {
    call: (family.variants[variant] as Variant<Problem>).call(problem, device),
    inputs: inputs.map((each) => (typeof each === 'number' ? draw.f32(each) : each)),
    outputs: outputs.map((each) => (typeof each === 'number' ? { dtype: 'f32', length: each } : each)),
  };
}

const normProblem = (rows: number, E: number) => ({
  ...{ kind: 'layer' as const, rows, E, eps: 1e-5, weight: true, bias: true },
});
const reduceProblem = (n: number, inner: number) => ({
  kind: 'sum' as const,
  outer: 3,
  n,
  inner,
  dtype: 'f32' as const,
});

function normBackwardTrial(variant: string, rows: number, E: number): Trial {
  const size = rows * E;
  return trial(normBackward, variant, 'gpu', normProblem(rows, E), [size, 2 * rows, E, size], [size, E, E]);
}

function matmulTrial(variant: string, M: number, N: number, K: number): Trial {
  const problem = { batch: [], M, N, K, a: place([M, K]), b: place([K, N]), sum: { of: 'b', output: 1 } as const };
  return trial(matmul, variant, 'gpu', problem, [M * K, K * N], [M * N, N]);
}

function lstmTrials(variant: string, H: number, selection: SelectionProfile): [forward: Trial, backward: Trial] {
  const problem = { cell: 'lstm' as const, T: 3, B: 5, H, reverse: false, lengths: false };
  const BH = 5 * H;
  const [sequence, weights] = [3 * BH, draw.f32(4 * H * H, 0.5)];
  return [
    trial(
      recurrentForward,
      variant,
      selection,
      problem,
      [4 * sequence, BH, weights, BH],
      [sequence, sequence, 4 * sequence],
    ),
    trial(
      recurrentBackward,
      variant,
      selection,
      problem,
      [sequence, weights, 4 * sequence, sequence, BH],
      [4 * sequence, 2 * BH],
    ),
  ];
}

function attentionTrials(D: number): [forward: Trial, backward: Trial] {
  const [L, S] = [66, 70];
  const [q, k] = [place([1, 1, L, D]), place([1, 1, S, D])];
  const [query, key] = [L * D, S * D];
  const gradients = { dQ: q, dK: { ...k, offset: query }, dV: { ...k, offset: query + key } };
  const numbers = { B: 1, H: 1, L, S, D, causal: false, scale: 1, dropout: 0, stream: 0 };
  const problem = { ...numbers, q, k, v: k, O: q, dO: q, ...gradients };
  return [
    trial(attentionForward, 'flash', 'gpu', problem, [query, key, key], [query, L]),
    trial(attentionBackward, 'flash', 'gpu', problem, [query, key, key, query, L, query], [query + 2 * key]),
  ];
}

function additiveTrials(): [forward: Trial, backward: Trial] {
  const [B, Q, S, A, D] = [3, 11, 70, 20, 36];
  const sizes = { B, Q, S, A, D };
  const sources = [B * Q * A, B * S * A, B * S * D, A];
  const keysEnd = B * (Q + S) * A;
  const offsets = [B * Q * A, keysEnd, keysEnd + B * S * D] as const;
  const weights = draw.f32(B * Q * S, 0.5 / S, 0.5 / S);
  return [
    trial(additiveAttention, 'rows', 'gpu', { ...sizes, lengths: null }, sources, [B * Q * D, B * Q * S]),
    trial(
      additiveAttentionBackward,
      'rows',
      'gpu',
      { ...sizes, weighted: false, offsets },
      [...sources, weights, B * Q * D],
      [offsets[2] + A],
    ),
  ];
}

const lstms = (variant: string) => [
  lstmTrials(variant, 15, 'gpu'),
  lstmTrials(variant, 32, 'gpu'),
  lstmTrials(variant, 64, 'software'),
];

/** Calls for each file that has barriers. */
const trials: Readonly<Record<string, () => readonly Trial[]>> = {
  'additiveAttention/forward': () => [additiveTrials()[0]],
  'additiveAttention/backward.scores': () => [additiveTrials()[1]],
  'additiveAttention/backward.sums': () => [additiveTrials()[1]],
  'attention/forward.flash': () => [attentionTrials(68)[0], attentionTrials(16)[0]],
  'attention/dkdv.flash': () => [attentionTrials(68)[1], attentionTrials(16)[1]],
  'attention/dq.flash': () => [attentionTrials(68)[1], attentionTrials(16)[1]],
  'cumsum/scan': () => [
    trial(cumsum, 'scan', 'gpu', { outer: 2, n: 5000, inner: 1, reverse: false, dtype: 'f32' }, [10000], [10000]),
  ],
  'ctcLoss/rows': () => [
    trial(
      ctcLoss,
      'rows',
      'gpu',
      { T: 20, B: 3, C: 5, L: 25, blank: 0, types: ['i32', 'i32', 'i32'] as const },
      [300, draw.i32(75, 1, 5), Int32Array.of(20, 20, 20), Int32Array.of(25, 9, 3)],
      [3, 3 * 20 * 51],
    ),
  ],
  'lib/recurrentSequence': () => lstms('sequence').flat(),
  'lib/recurrentStep': () => lstms('steps').flat(),
  'lib/meeting': () => [
    trial(softmax, 'rows', 'gpu', { log: false, outer: 3, n: 1024, inner: 1 }, [3072], [3072]),
    trial(reduce, 'rows', 'gpu', reduceProblem(2048, 1), [3 * 2048], [3]),
  ],
  'recurrent/forward.sequence': () => lstms('sequence').map(([forward]) => forward),
  'recurrent/backward.sequence': () => lstms('sequence').map(([, backward]) => backward),
  'matmul/gemv': () => [matmulTrial('gemv', 1, 67, 300)],
  'matmul/tiled': () => [matmulTrial('tiled32', 40, 36, 72)],
  'norm/backward.rows': () =>
    [
      [300, 32],
      [9, 1024],
      [600, 257],
      [300, 515],
    ].map(([rows, E]) => normBackwardTrial('rows', rows as number, E as number)),
  'norm/backward.line': () => [normBackwardTrial('line', 70, 128)],
  'norm/backward.thread': () => [normBackwardTrial('thread', 70, 128)],
  'clip/norm': () => [trial(clipNorm, 'twoPasses', 'gpu', { N: 40000, maxNorm: 1, strict: false }, [40000], [1, 1])],
  'reduce/columns': () => [trial(reduce, 'columns', 'gpu', reduceProblem(65, 33), [3 * 65 * 33], [3 * 33])],
  'categorical/gumbel': () => [
    trial(categorical, 'gumbel', 'gpu', { rows: 33, n: 300, stream: 0 }, [9900, draw.u32(4, 0, 2 ** 32)], [i32(33)]),
  ],
  'sample/phases': () =>
    // Values that differ, and the best alone of them; equal values, of which the index decides up to its last digit.
    [
      { logits: draw.f32(9900, 4), temperature: 1, k: 200, p: 0.7 },
      { logits: draw.f32(9900, 4), temperature: 0, k: 300, p: 1 },
      { logits: new Float32Array(9900), temperature: 1, k: 200, p: 0.7 },
      { logits: new Float32Array(9900), temperature: 1, k: 300, p: 0.3 },
    ].map(({ logits, temperature, k, p }) =>
      trial(
        sample,
        'phases',
        'gpu',
        { rows: 33, n: 300, stream: 0 },
        [logits, Float32Array.of(temperature, k, p, 0), draw.u32(4, 0, 2 ** 32)],
        [i32(33)],
      ),
    ),
  'sort/bitonic': () => [
    trial(sort, 'bitonic', 'gpu', { rows: 2, n: 100, descending: false, dtype: 'f32' }, [200], [200, i32(200)]),
  ],
  'topK/sort': () => [trial(topK, 'sort', 'gpu', { rows: 2, n: 100, k: 40, largest: true }, [200], [80, i32(80)])],
};

/** A barrier is needed by the text, which is the same for both stacks: each is tried on one. These take Deno long to compile. */
const triedInChromium: readonly string[] = [
  'lib/recurrentSequence',
  'lib/recurrentStep',
  'recurrent/backward.sequence',
  'recurrent/forward.sequence',
];

/** Barriers, counted from 0 in the text, that do not show in Deno, and so must in Chromium. */
const hiddenInDeno: readonly { readonly shader: string; readonly barrier: number; readonly reason: string }[] = [
  {
    shader: 'attention/forward.flash',
    barrier: 8,
    reason: 'lavapipe runs eight lanes at once, and these are the eight of a team',
  },
  {
    shader: 'attention/dq.flash',
    barrier: 7,
    reason: 'lavapipe runs eight lanes at once, and these are the eight of a team',
  },
  {
    shader: 'norm/backward.line',
    barrier: 0,
    reason: 'lavapipe runs eight lanes at once, and a workgroup has eight',
  },
  {
    shader: 'norm/backward.thread',
    barrier: 0,
    reason: 'lavapipe runs eight lanes at once, and a workgroup has eight',
  },
];

/** The barriers that this stack must find to be needed. */
function due(shader: string, count: number): number[] {
  const hidden = hiddenInDeno.filter((each) => each.shader === shader).map(({ barrier }) => barrier);
  const all = Array.from({ length: count }, (_, i) => i);
  if (triedInChromium.includes(shader)) return runtime === 'chromium' ? all : [];
  return runtime === 'chromium' ? hidden : all.filter((barrier) => !hidden.includes(barrier));
}

const texts: Record<string, string> = import.meta.glob('../../shaders/**/*.wgsl', {
  query: '?raw',
  import: 'default',
  eager: true,
});
const shaders = Object.entries(texts)
  .map(([path, source]) => ({ name: path.replace('../../shaders/', '').replace('.wgsl', ''), source }))
  .filter(({ source }) => barriersOf(source) > 0);

/** What decides over a branch, without the suffixes of numbers: constants of a shader have capital letters only. */
const conditionOf = (head: string) => head.replace(/^[^(]*/, '').replace(/\d+u/g, '');

/** Those of the barriers without which no trial's bits change. */
async function unnoticed(
  source: string,
  barriers: readonly number[],
  list: readonly Trial[],
): Promise<readonly number[]> {
  let missing = barriers;
  for (const { call, inputs, outputs } of list) {
    if (missing.length === 0) break;
    const probes = missing.flatMap((barrier) =>
      [false, true].map((reversed) => ({ reversed, without: { source, barrier } })),
    );
    const [intact, ...runs] = (await runCall(call, inputs, outputs, [{}, ...probes])) as [Run, ...Run[]];
    missing = missing.filter((_, i) => runs.slice(2 * i, 2 * i + 2).every((run) => sameBits(run, intact)));
  }
  return missing;
}

describe('barriers', () => {
  // A software adapter may take one in a branch of a loop that no lane takes: another one that is missing would not show.
  it('stand in no branch of a loop that is chosen as it runs', () => {
    const chosen = shaders.flatMap(({ name, source }) => {
      const heads: string[] = [];
      return source.split('\n').flatMap((line) => {
        const isBarrier = /^\s*(workgroup|storage)Barrier\(\);/.test(line);
        const inLoop = heads.slice(heads.findIndex((head) => /^\s*(for|while|loop)\b/.test(head)) + 1 || heads.length);
        const branches = inLoop.filter(
          (head) => /^\s*(\} )?(if|else|switch)\b/.test(head) && /[a-z]/.test(conditionOf(head)),
        );
        if (/^\s*\}/.test(line)) heads.pop();
        if (/\{\s*$/.test(line)) heads.push(line);
        return isBarrier && branches.length > 0 ? [name] : [];
      });
    });
    // Each phase of a sample is a branch.
    expect([...new Set(chosen)]).toEqual(['sample/phases']);
  });

  it('are all tried', () => {
    expect(Object.keys(trials).sort()).toEqual(shaders.map(({ name }) => name).sort());
    for (const shader of [...triedInChromium, ...hiddenInDeno.map((each) => each.shader)]) {
      expect(Object.keys(trials)).toContain(shader);
    }
  });

  for (const { name, source } of shaders) {
    const barriers = due(name, barriersOf(source));
    if (barriers.length === 0) continue;
    it(`of ${name} are needed: ${barriers.join(', ')}`, async ({ skip }) => {
      if (!(await isSoftware())) skip();
      expect(await unnoticed(source, barriers, (trials[name] as () => readonly Trial[])())).toEqual([]);
    });
  }
});
