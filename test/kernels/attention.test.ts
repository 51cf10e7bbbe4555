import { describe, expect, it } from 'vitest';
import { rowMajorStrides } from '../../src/core/layout.ts';
import {
  type AttentionBackwardProblem,
  type AttentionProblem,
  attentionBackward,
  attentionForward,
} from '../../src/kernels/attention.ts';
import type { Dispatch, Family, KernelCall, Operand, Variant } from '../../src/kernels/kernel.ts';
import { evaluate, type Ref, ref } from '../reference/index.ts';
import { build, flatIndex, get, indices } from '../reference/ref.ts';
import { runtime } from '../support/environment.ts';
import { runCall, runProfile } from '../support/kernels.ts';
import { type Case, conformance, near } from './conformance.ts';
import { type Draw, drawFor } from './draw.ts';
import { fill, place } from './operands.ts';
import { randomUniform } from './philox.ts';

interface Options {
  readonly B: number;
  readonly H: number;
  readonly L: number;
  readonly S: number;
  readonly D: number;
  readonly causal?: boolean;
  readonly dropout?: number;
  /** Dimensions in which the mask broadcasts. */
  readonly mask?: readonly number[];
  /**
   * packed: q, k, v lie in one projection [B, L, 3, H, D], and so do their gradients; loose: gaps and odd offsets, results
   * [L, B, H, D]; heads: [B, L, H, D].
   */
  readonly layout?: 'dense' | 'packed' | 'loose' | 'heads';
  /** For `ranged`: a query sees so many keys, itself the last, and only those before the length of its sequence. */
  readonly window?: number;
  /** For the tiles only: other variants have the head size as a number, and another one shows nothing new. */
  readonly tilesOnly?: boolean;
  /** Its three pipelines take SwiftShader seconds, and show no path of the shaders that another case has not. */
  readonly inDenoOnly?: boolean;
}

// Lengths around the tiles of 32, head sizes around vectors and around the 64 that a tile holds at once.
const all: readonly Options[] = [
  { B: 1, H: 1, L: 1, S: 1, D: 1 },
  { B: 2, H: 3, L: 33, S: 33, D: 8, causal: true, layout: 'packed' },
  { B: 1, H: 2, L: 31, S: 65, D: 16, mask: [0, 1], layout: 'heads' },
  { B: 2, H: 1, L: 65, S: 32, D: 3, dropout: 0.25, layout: 'loose' },
  { B: 1, H: 2, L: 64, S: 64, D: 20, causal: true, dropout: 0.1, inDenoOnly: true },
  { B: 2, H: 2, L: 5, S: 70, D: 12, causal: true, mask: [1], layout: 'heads' },
  { B: 1, H: 1, L: 7, S: 66, D: 33, tilesOnly: true, inDenoOnly: true },
  { B: 1, H: 1, L: 34, S: 35, D: 68, mask: [1, 2], dropout: 0.5, tilesOnly: true },
];

const options = all.filter(({ inDenoOnly }) => !inDenoOnly || runtime === 'deno');

/** In hooks: of a window and of lengths; the queries of the first sequence end with some that see nothing. */
const rangedOptions: readonly Options[] = [
  { B: 2, H: 1, L: 70, S: 70, D: 8, window: 20 },
  { B: 2, H: 1, L: 66, S: 66, D: 68, window: 3, tilesOnly: true },
];
const lengthOf = (batch: number) => 33 + 37 * batch;
const rangeHooks = (window: number) => ({
  keyRange: `fn keyRange(batch: u32, head: u32, rows: vec4<u32>) -> KeyRange {
  let end = min(rows + 1u, vec4<u32>(min(33u + 37u * batch, params.S)));
  return KeyRange(min(max(rows, vec4<u32>(${window - 1}u)) - ${window - 1}u, end), end);
}`,
  queryRange: `fn queryRange(batch: u32, head: u32, key: u32) -> QueryRange { return QueryRange(key, min(key + ${window}u, params.L)); }`,
});

const nameOf = ({ B, H, L, S, D, causal, dropout, mask, window, layout = 'dense' }: Options) =>
  [
    `[${B}, ${H}, ${L}, ${D}] over ${S} keys, ${layout}`,
    window && `window of ${window}`,
    causal && 'causal',
    mask && 'masked',
    dropout && `dropout ${dropout}`,
  ]
    .filter(Boolean)
    .join(', ');

/** Places of q, k, v and dO. Packed ones are bound as three parts of one buffer's contents. */
function operandsOf({ B, H, L, S, D, layout = 'dense' }: Options): [Operand, Operand, Operand, Operand] {
  const shapes = [L, S, S, L].map((rows) => [B, H, rows, D]);
  return shapes.map((shape, i): Operand => {
    if (layout === 'packed' && i < 3) {
      const [b, l, , h, d] = rowMajorStrides([B, L, 3, H, D]) as [number, number, number, number, number];
      return { shape, strides: [b, h, l, d], offset: i * H * D, dtype: 'f32' };
    }
    if (layout === 'heads') return place(shape, { order: [0, 2, 1, 3] });
    return place(shape, layout === 'loose' ? { offset: 2 * i + 1, gap: 1 } : {});
  }) as [Operand, Operand, Operand, Operand];
}

/** Places of O, and of dQ, dK and dV in one buffer. */
function resultsOf(options: Options): [O: Operand, dQ: Operand, dK: Operand, dV: Operand] {
  const { B, H, L, S, D, layout = 'dense' } = options;
  const order = { dense: [0, 1, 2, 3], packed: [0, 2, 1, 3], heads: [0, 2, 1, 3], loose: [2, 0, 1, 3] }[layout];
  const O = place([B, H, L, D], { order });
  if (layout === 'packed') return [O, ...operandsOf(options).slice(0, 3)] as [Operand, Operand, Operand, Operand];
  const [queries, keys] = [B * H * L * D, B * H * S * D];
  const dK = place([B, H, S, D], { order, offset: queries });
  return [O, place([B, H, L, D], { order }), dK, { ...dK, offset: queries + keys }];
}

const maskOf = ({ B, H, L, S, mask }: Options) => mask && place([B, H, L, S], { broadcast: mask });

function problemOf(options: Options): AttentionBackwardProblem {
  const { B, H, L, S, D, causal = false, dropout = 0 } = options;
  const [q, k, v, dO] = operandsOf(options);
  const [O, dQ, dK, dV] = resultsOf(options);
  const mask = maskOf(options);
  const numbers = { B, H, L, S, D, causal, scale: Math.fround(0.7), dropout, stream: 5 };
  return { ...numbers, q, k, v, O, dO, dQ, dK, dV, ...(mask && { mask }) };
}

/** Buffers of everything that goes in, and what it stands for. */
function drawInputs(options: Options, draw: Draw) {
  const { dropout = 0 } = options;
  const problem = problemOf(options);
  const [q, k, v, dO] = [problem.q, problem.k, problem.v, problem.dO].map((operand) => fill(operand, draw)) as [
    Filled,
    Filled,
    Filled,
    Filled,
  ];
  const mask = options.window ? outside(options, options.window) : problem.mask && fill(problem.mask, draw, 2);
  if (problem.mask && mask) hide(problem.mask, mask);
  const key = dropout > 0 ? [draw.u32(4, 0, 2 ** 32)] : [];
  return { problem, q, k, v, dO, mask, key, more: [...(problem.mask && mask ? [mask.buffer] : []), ...key] };
}

type Filled = ReturnType<typeof fill>;

/** What ranges hide, as a mask for the reference. */
function outside({ B, H, L, S }: Options, window: number): Filled {
  const value = build([B, H, L, S], ([b, , i, j]) => {
    const [batch, row, key] = [b, i, j] as [number, number, number];
    return key > row || key <= row - window || key >= lengthOf(batch) ? -1e9 : 0;
  });
  return { buffer: new Float32Array(0), value };
}

/** Hides every third key, and all keys of the first row where each row has a mask of its own. */
function hide({ shape, strides }: Operand, mask: Filled): void {
  for (const i of mask.buffer.keys()) if (i % 3 === 1) mask.buffer[i] = -1e9;
  if (strides[2] !== 0) mask.buffer.fill(-1e30, 0, shape[3]);
  const value = build(
    shape,
    (index) => mask.buffer[index.reduce((sum, i, d) => sum + i * (strides[d] as number), 0)] as number,
  );
  mask.value.data.set(value.data);
}

/**
 * Attention with dropout on its weights, which evaluate() has not: P from there by its lse, then
 * O = (P ∘ keep) V, dV = (P ∘ keep)ᵀ dO, dS = P ∘ (keep ∘ dO Vᵀ − δ), dQ = scale dS K, dK = scale dSᵀ Q.
 */
function attention({ problem, q, k, v, dO, mask, key }: ReturnType<typeof drawInputs>) {
  const { B, H, L, S, D, causal, scale, dropout, stream } = problem;
  const inputs = [q.value, k.value, v.value];
  const [, lse] = evaluate('attention', [...inputs, ...(mask ? [mask.value] : [])], { causal, scale }) as [Ref, Ref];
  const dot = (a: Ref, i: number, b: Ref, j: number) => {
    let sum = 0;
    for (let d = 0; d < D; d++) sum += get(a, i * D + d) * get(b, j * D + d);
    return sum;
  };
  const addTo = (a: Ref, i: number, factor: number, b: Ref, j: number) => {
    for (let d = 0; d < D; d++) a.data[i * D + d] = get(a, i * D + d) + factor * get(b, j * D + d);
  };
  const O = ref([B, H, L, D]);
  const [dq, dk, dv] = [ref(q.value.shape), ref(k.value.shape), ref(v.value.shape)];
  for (let row = 0; row < B * H * L; row++) {
    const first = Math.floor(row / L) * S;
    const weights = Array.from({ length: S }, (_, j) => {
      const added = mask ? get(mask.value, row * S + j) : 0;
      if (added < -1e8 || (causal && j > row % L)) return { p: 0, keep: 0 };
      const p = Math.exp(scale * dot(q.value, row, k.value, first + j) + added - get(lse, row));
      const kept = dropout === 0 || randomUniform(key[0] as Uint32Array, stream, row * S + j) >= Math.fround(dropout);
      return { p, keep: kept ? 1 / (1 - dropout) : 0 };
    });
    for (const [j, { p, keep }] of weights.entries()) addTo(O, row, p * keep, v.value, first + j);
    const delta = dot(dO.value, row, O, row);
    for (const [j, { p, keep }] of weights.entries()) {
      const slope = scale * p * (keep * dot(dO.value, row, v.value, first + j) - delta);
      addTo(dq, row, slope, k.value, first + j);
      addTo(dk, first + j, slope, q.value, row);
      addTo(dv, first + j, p * keep, dO.value, row);
    }
  }
  return { O, lse, dq, dk, dv };
}

/** What a buffer holds in which these values lie, without gaps. */
function laid(...parts: (readonly [Operand, Ref])[]): Ref {
  const buffer = ref([parts.reduce((sum, [, { data }]) => sum + data.length, 0)]);
  for (const [{ shape, strides, offset }, value] of parts) {
    for (const index of indices(shape)) {
      const at = index.reduce((sum, i, d) => sum + i * (strides[d] as number), offset);
      buffer.data[at] = get(value, flatIndex(shape, index));
    }
  }
  return buffer;
}

/** The variants of a family with other ranges in place of their own. */
function ranged<Problem>(family: Family<Problem>, window: number): Family<Problem> {
  const replace = (dispatch: Dispatch): Dispatch => ({
    ...dispatch,
    constants: { ...dispatch.constants, RANGED: true },
    functions: { ...dispatch.functions, ...rangeHooks(window) },
  });
  const variants = Object.entries(family.variants).map(([name, variant]): [string, Variant<Problem>] => [
    name,
    {
      ...variant,
      call(problem, profile) {
        const call = variant.call(problem, profile);
        return { ...call, dispatches: call.dispatches.map(replace) };
      },
    },
  ]);
  return { ...family, name: `${family.name} of ranges`, variants: Object.fromEntries(variants) };
}

const forwardCases = (given: readonly Options[]) =>
  given.map(
    (each): Case<AttentionProblem> => ({
      name: nameOf(each),
      problem: problemOf(each),
      ...(each.tilesOnly && { spares: ['rows', 'quads', 'block', 'quadBlock'] }),
      prepare(draw) {
        const drawn = drawInputs(each, draw);
        const { O, lse } = attention(drawn);
        return {
          inputs: [drawn.q.buffer, drawn.k.buffer, drawn.v.buffer, ...drawn.more],
          expected: [near(laid([drawn.problem.O, O]), 1e-5, 5e-6), near(lse, 2e-6, 5e-6)],
        };
      },
    }),
  );

const backwardCases = (given: readonly Options[]) =>
  given.map(
    (each): Case<AttentionBackwardProblem> => ({
      name: nameOf(each),
      problem: problemOf(each),
      ...(each.tilesOnly && { spares: ['rows', 'quads', 'block', 'quadBlock'] }),
      prepare(draw) {
        const drawn = drawInputs(each, draw);
        const { problem, q, k, v, dO, more } = drawn;
        const { O, lse, dq, dk, dv } = attention(drawn);
        const saved = [laid([problem.O, O]), lse].map(({ data }) => Float32Array.from(data));
        const gradients = laid([problem.dQ, dq], [problem.dK, dk], [problem.dV, dv]);
        return {
          inputs: [q.buffer, k.buffer, v.buffer, ...saved, dO.buffer, ...more],
          expected: [near(gradients, 2e-5, 2e-5)],
        };
      },
    }),
  );

conformance(attentionForward, forwardCases(options));
conformance(attentionBackward, backwardCases(options));
for (const each of rangedOptions) {
  conformance(ranged(attentionForward, each.window ?? 1), forwardCases([each]));
  conformance(ranged(attentionBackward, each.window ?? 1), backwardCases([each]));
}

describe('ranges', () => {
  const [each] = rangedOptions as [Options];
  const families = [ranged(attentionForward, each.window ?? 1), ranged(attentionBackward, each.window ?? 1)] as const;
  for (const name of Object.keys(attentionForward.variants)) {
    it(`${name}: what they hide may be anything`, async ({ skip }) => {
      const { problem, q, k, v, dO, mask } = drawInputs(each, drawFor('hidden keys'));
      if (attentionForward.variants[name]?.unsupported?.(problem, runProfile)) skip();
      const { O, lse } = attention({ problem, q, k, v, dO, mask, key: [], more: [] });
      const { B, H, L, S, D } = each;
      const run = async () => {
        const saved = [O, lse].map(({ data }) => Float32Array.from(data));
        const [forward, backward] = families.map(({ variants }) =>
          variants[name]?.call(problem, runProfile),
        ) as KernelCall[];
        const f32 = (length: number) => ({ dtype: 'f32' as const, length });
        const inputs = [q.buffer, k.buffer, v.buffer];
        const [results] = await runCall(forward as KernelCall, inputs, [f32(B * H * L * D), f32(B * H * L)]);
        const [gradients] = await runCall(
          backward as KernelCall,
          [...inputs, ...saved, dO.buffer],
          [f32(B * H * (L + 2 * S) * D)],
        );
        return [...(results?.outputs ?? []), ...(gradients?.outputs ?? [])].map((output) => Array.from(output));
      };
      const before = await run();
      for (const buffer of [k.buffer, v.buffer]) buffer.fill(Number.NaN, lengthOf(0) * D, S * D);
      expect(await run()).toEqual(before);
    });
  }
});

describe('the attention of this test', () => {
  it('is that of the reference where nothing is dropped', () => {
    for (const each of options.filter(({ dropout }) => !dropout)) {
      const drawn = drawInputs(each, drawFor(nameOf(each)));
      const { problem, q, k, v, dO, mask } = drawn;
      const { causal, scale } = problem;
      const own = attention(drawn);
      const masks = mask ? [mask.value] : [];
      const [O, lse] = evaluate('attention', [q.value, k.value, v.value, ...masks], { causal, scale }) as [Ref, Ref];
      const gradients = evaluate('attentionBackward', [q.value, k.value, v.value, O, lse, dO.value, ...masks], {
        causal,
        scale,
      });
      for (const [i, mine] of [own.O, own.dq, own.dk, own.dv].entries()) {
        const theirs = i === 0 ? O : (gradients[i - 1] as Ref);
        const differences = mine.data.map((value, j) => Math.abs(value - (theirs.data[j] as number)));
        expect(Math.max(...differences)).toBeLessThan(1e-12);
      }
    }
  });
});

describe('attention', () => {
  it('says what it does not take', () => {
    const problem = problemOf({ B: 1, H: 1, L: 4, S: 4, D: 8 });
    const profile = { ...runProfile, subgroups: true };
    for (const variant of Object.values(attentionForward.variants)) {
      expect(variant.unsupported?.({ ...problem, D: 129 }, profile)).toMatch(/129.*128/);
      const loose = { ...problem.k, strides: [64, 64, 16, 2] };
      expect(variant.unsupported?.({ ...problem, k: loose }, profile)).toMatch(/^k has stride 2/);
    }
    for (const name of ['quads', 'quadBlock']) {
      const variant = attentionForward.variants[name];
      expect(variant?.unsupported?.(problem, { ...profile, subgroups: false })).toMatch(/no subgroups/);
    }
  });
});
