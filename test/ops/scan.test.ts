import { describe, expect, it } from 'vitest';
import { reachable } from '../../src/graph/node.ts';
import type { AtOnce } from '../../src/graph/op.ts';
import { apply } from '../../src/graph/record.ts';
import {
  categorical,
  compile,
  concat,
  crossEntropy,
  dropout,
  embedding,
  grad,
  iota,
  layerNorm,
  lstm,
  lstmCell,
  manualSeed,
  matmul,
  noGrad,
  type ScanStep,
  sample,
  scan,
  softmax,
  stack,
  type Tensor,
  zeros,
} from '../../src/index.ts';
import { dependences, isPlainElementwise, Steps, worksAtOnce } from '../../src/ops/atOnce.ts';
import { type OpName, ops } from '../../src/ops/registry.ts';
import { type Approximation, interpret } from '../reference/interpret.ts';
import { check, checkGradients } from '../support/check.ts';
import { expectClose } from '../support/compare.ts';
import { draw, drawIds } from '../support/draw.ts';
import { read, useGpu } from '../support/gpu.ts';
import { samples } from '../support/samples.ts';

useGpu();

/** A tanh RNN: weights come from outside of the body. */
const rnn =
  (W: Tensor, options: { reverse?: boolean } = {}) =>
  (h0: Tensor, xs: Tensor) =>
    scan(
      ([h], [x]) => {
        const next = (x as Tensor).add(matmul(h as Tensor, W)).tanh();
        return { carry: [next], y: [next.mul(2)] };
      },
      [h0],
      [xs],
      options,
    );

describe('scan', () => {
  it.for([
    { T: 1, B: 2, H: 4 },
    { T: 5, B: 3, H: 5 },
    { T: 4, B: 2, H: 32 },
    { T: 33, B: 1, H: 4 },
  ])('runs a recurrence over $T steps of [$B, $H], forward and backward', async ({ T, B, H }) => {
    for (const reverse of [false, true]) {
      await checkGradients(
        (h0, xs, W) => {
          const { carry, ys } = rnn(W as Tensor, { reverse })(h0 as Tensor, xs as Tensor);
          return [...carry, ...ys];
        },
        [draw([B, H]), draw([T, B, H]), draw([H, H], -1 / H, 1 / H)],
        { finite: T * B * H <= 80 },
      );
    }
  });

  it('carries several values, takes several inputs, and gives several outputs', () =>
    checkGradients(
      (a, b, xs, ws) => {
        const { carry, ys } = scan(
          ([p, q], [x, w]) => {
            const next = (p as Tensor).mul(w as Tensor).add(x as Tensor);
            return {
              carry: [next, (q as Tensor).add(next.square().mul(0.1))],
              y: [next.sub(q as Tensor), next.sum(-1)],
            };
          },
          [a as Tensor, b as Tensor],
          [xs as Tensor, ws as Tensor],
        );
        return [...carry, ...ys];
      },
      [draw([3], -1, 1), draw([3], -1, 1), draw([4, 3], -1, 1), draw([4, 1], -1, 1)],
    ));

  it('needs no inputs', () => {
    const { carry, ys } = scan(
      ([x]) => ({ carry: [(x as Tensor).mul(1.1).add(0.1)], y: [(x as Tensor).sin()] }),
      [draw([5])],
      [],
      { length: 6 },
    );
    return check(...carry, ...ys);
  });

  it('carries integers', () => {
    const { carry, ys } = scan(
      ([n], [x]) => ({ carry: [(n as Tensor).add(x as Tensor)], y: [(n as Tensor).mul(2)] }),
      [iota([3], 0)],
      [iota([4, 3], 0)],
    );
    return check(...carry, ...ys);
  });

  it('of an LSTM cell is the LSTM', async () => {
    const [gates, h0, c0, W] = [draw([3, 2, 12]), draw([2, 3]), draw([2, 3]), draw([12, 3])];
    const { carry, ys } = scan(
      ([h, c], [x]) => {
        const next = lstmCell((x as Tensor).add(matmul(h as Tensor, W.transpose())), c as Tensor);
        return { carry: [next.h, next.c], y: [next.h] };
      },
      [h0, c0],
      [gates],
    );
    const fused = lstm(gates, h0, c0, W);
    await check(...carry, ...ys, fused.output, fused.h, fused.c);
    await check(fused.output.sub(ys[0] as Tensor), fused.c.sub(carry[1] as Tensor));
  });
});

/** What `scan` says, step by step, in a loop that the graph holds as a whole. */
function unrolled(
  body: ScanStep,
  carry: readonly Tensor[],
  xs: readonly Tensor[],
  { reverse = false, length = xs[0]?.shape[0] ?? 1 }: { reverse?: boolean; length?: number } = {},
): ReturnType<typeof scan> {
  let state = [...carry];
  const rows: Tensor[][] = [];
  for (let step = 0; step < length; step++) {
    const t = reverse ? length - 1 - step : step;
    const next = body(
      state,
      xs.map((x) => x.at(t)),
    );
    state = next.carry;
    rows[t] = next.y;
  }
  const ys = (rows[0] as Tensor[]).map((_, i) => stack(rows.map((row) => row[i] as Tensor)));
  return { carry: state, ys };
}

/** A sum in which each element has a weight of its own. */
const weighted = (y: Tensor) => y.mul(iota([y.size], 0).cast('f32').sin().reshape(y.shape)).sum();

interface Case {
  /** False where values pass no gradient, which differences know nothing of. */
  readonly finite?: boolean;
  /** Shapes of what is differentiated; those named `xs` have a slice for each step. */
  readonly given: readonly (readonly number[])[];
  readonly run: (loop: typeof scan, given: readonly Tensor[]) => ReturnType<typeof scan>;
}
const T = 4;
const ids = () => drawIds([T, 3], 5);

/** Bodies of which some leave the loop in part, in forward or in backward. */
const cases: Readonly<Record<string, () => Case>> = {
  'a head that no carry depends on': () => ({
    given: [[2, 3], [T, 2, 3], [3, 3], [5, 3], [5]],
    run: (loop, [h0, xs, U, W, b]) =>
      loop(
        ([h], [x]) => {
          const next = matmul(h as Tensor, U as Tensor)
            .add(x as Tensor)
            .tanh();
          return {
            carry: [next],
            y: [
              matmul(next, (W as Tensor).transpose())
                .add(b as Tensor)
                .tanh(),
              next.mul(2),
            ],
          };
        },
        [h0 as Tensor],
        [xs as Tensor],
      ),
  }),
  'products of slices, and an embedding, reversed': () => {
    const words = ids();
    return {
      given: [
        [3, 3],
        [T, 3, 2],
        [2, 3],
        [5, 3],
      ],
      run: (loop, [h0, xs, W, table]) =>
        loop(
          ([h], [x, id]) => {
            const next = matmul(x as Tensor, W as Tensor)
              .add(embedding(id as Tensor, table as Tensor))
              .add((h as Tensor).mul(0.5))
              .tanh();
            return { carry: [next], y: [next.sum(-1), embedding(id as Tensor, table as Tensor)] };
          },
          [h0 as Tensor],
          [xs as Tensor, words],
          { reverse: true },
        ),
    };
  },
  'captured matrices on the left, and in batches on either side': () => ({
    given: [
      [2, 3, 1],
      [T, 2, 3, 1],
      [3, 3],
      [2, 3, 3],
      [2, 1, 3],
    ],
    run: (loop, [h0, xs, A, left, right]) =>
      loop(
        ([h], [x]) => {
          const all = matmul(left as Tensor, h as Tensor).add(matmul((h as Tensor).mul(x as Tensor), right as Tensor));
          const next = matmul(A as Tensor, matmul(A as Tensor, all.sum(-1, { keepDims: true }))).tanh();
          return { carry: [next], y: [matmul(next, right as Tensor)] };
        },
        [h0 as Tensor],
        [xs as Tensor],
      ),
  }),
  'attention to a captured memory, with a bias, a scale and a norm': () => ({
    given: [[2, 3], [T, 2, 3], [2, 4, 3], [3, 3], [3]],
    run: (loop, [h0, xs, memory, W, scale]) =>
      loop(
        ([h], [x]) => {
          const keys = matmul(memory as Tensor, W as Tensor).tanh();
          const query = matmul(h as Tensor, W as Tensor).reshape([2, 1, 3]);
          const weights = softmax(keys.add(query).tanh().sum(-1)).reshape([2, 1, 4]);
          const context = matmul(weights, memory as Tensor).reshape([2, 3]);
          const next = layerNorm(concat([context, x as Tensor], -1))
            .slice([null, [1, 4]])
            .mul(scale as Tensor)
            .add(scale as Tensor);
          return { carry: [next], y: [weights, concat([next, context], -1)] };
        },
        [h0 as Tensor],
        [xs as Tensor],
      ),
  }),
  'carries that wait, change places, and stay': () => ({
    given: [
      [2, 2],
      [2, 2],
      [2, 2],
      [2, 2],
      [2, 2],
      [T, 2, 2],
    ],
    run: (loop, [a, b, c, d, W, xs]) =>
      loop(
        ([p, q, r, s, still], [x]) => {
          const next = matmul(p as Tensor, W as Tensor).add(q as Tensor);
          const turned = (s as Tensor).transpose();
          return {
            carry: [r as Tensor, x as Tensor, p as Tensor, turned, still as Tensor],
            y: [next, p as Tensor, q as Tensor, x as Tensor, W as Tensor, turned, still as Tensor, zeros([2])],
          };
        },
        [a as Tensor, b as Tensor, c as Tensor, d as Tensor, (d as Tensor).mul(2)],
        [xs as Tensor],
      ),
  }),
  'a tensor that is captured, sliced, carried and multiplied with itself': () => ({
    given: [
      [3, 3],
      [3, 3, 3],
    ],
    run: (loop, [h0, xs]) =>
      loop(
        ([h], [x]) => {
          const last = (xs as Tensor).at(-1);
          const next = matmul(h as Tensor, last)
            .add(matmul(x as Tensor, h0 as Tensor))
            .mul(last)
            .tanh();
          return { carry: [next], y: [matmul(next, next.transpose()), matmul(x as Tensor, last)] };
        },
        [h0 as Tensor],
        [xs as Tensor],
      ),
  }),
  'values that pass no gradient, and a loss of each step': () => {
    const words = ids();
    return {
      finite: false,
      given: [
        [3, 4],
        [T, 3, 4],
        [4, 4],
        [4, 5],
      ],
      run: (loop, [h0, xs, W, head]) =>
        loop(
          ([h], [x, id]) => {
            const gate = noGrad(() => matmul(h as Tensor, W as Tensor).sigmoid());
            const next = matmul(gate, W as Tensor)
              .mul(x as Tensor)
              .add((h as Tensor).detach())
              .add(h as Tensor);
            const loss = crossEntropy(matmul(next, head as Tensor), id as Tensor);
            return { carry: [next.mul(0.3)], y: [loss] };
          },
          [h0 as Tensor],
          [xs as Tensor, words],
        ),
    };
  },
  'nothing that is carried': () => ({
    given: [
      [T, 2, 3],
      [3, 3],
    ],
    run: (loop, [xs, W]) =>
      loop(
        (_, [x]) => ({ carry: [], y: [matmul(x as Tensor, W as Tensor).tanh(), (x as Tensor).square()] }),
        [],
        [xs as Tensor],
      ),
  }),
};

describe('a scan gives the results and gradients of a loop', () => {
  it.for(Object.entries(cases))('of %s', async ([, make]) => {
    const { given, run, finite = true } = make();
    const inputs = given.map((shape) => draw(shape, -1, 1));
    const outputs = ({ carry, ys }: ReturnType<typeof scan>) => [...carry, ...ys];
    await checkGradients((...x) => outputs(run(scan, x)), inputs, { finite });
    const [scanned, looped] = [scan, unrolled].map((loop) => {
      const results = outputs(run(loop as typeof scan, inputs));
      const total = results.map(weighted).reduce((sum, each) => sum.add(each));
      return interpret([...results, ...grad(total, inputs)]);
    }) as [Approximation[], Approximation[]];
    for (const [i, { value }] of scanned.entries()) {
      const other = (looped[i] as Approximation).value.data;
      const size = Math.max(...other.map(Math.abs));
      // Sums of some hundred terms in float64, in another order.
      expectClose(
        value.data,
        other,
        other.map(() => 1e-12 * (1 + size)),
        `result ${i}`,
      );
    }
  });
});

describe('all steps at once', () => {
  const all = (Object.keys(samples) as OpName[]).flatMap((name) => samples[name].map((each) => ({ name, each })));
  const able = all.filter(
    ({ name }) => name !== 'scan' && ('atOnce' in ops[name] || ops[name].lowering.kind === 'elementwise'),
  );

  it.for(able.map(({ name, each }) => [name, each.label, each] as const))(
    '%s, %s, gives what it gives step by step',
    ([name, , { inputs, run }]) => {
      if (name === 'scan') return;
      const outputs = [run(...inputs())].flat();
      const node = reachable(outputs).find(({ op, inputs: read }) => op === ops[name] && read.length > 0);
      // What makes numbers of nothing is the same in all steps.
      if (!node || !('atOnce' in ops[name] || isPlainElementwise(node))) return;
      for (let marks = 1; marks < 2 ** Math.min(node.inputs.length, 3); marks++) {
        const marked = node.inputs.filter((_, i) => (marks >> i) & 1);
        const dependence = dependences([node], [], marked);
        if (!worksAtOnce(node, dependence)) continue;
        const steps = new Steps(dependence, 2, (tensor) => tensor);
        const second = new Map(marked.map((tensor) => [tensor, tensor.rank > 0 ? tensor.flip(0) : tensor]));
        for (const [tensor, other] of second) steps.set(tensor, stack([tensor, other]));
        const [together, own, others] = [
          steps.computed(node),
          node.outputs,
          apply(
            node.op,
            node.inputs.map((tensor) => second.get(tensor) ?? tensor),
            node.attributes,
          ),
        ];
        const values = interpret([...together, ...own.map((y, i) => stack([y, others[i] as Tensor]))]);
        for (const i of own.keys())
          expect((values[i] as Approximation).value).toEqual((values[own.length + i] as Approximation).value);
      }
    },
  );

  it('works for ops with a rule, of which some take no mark on some inputs', () => {
    const rules = Object.entries(ops).filter(([, op]) => 'atOnce' in op);
    expect(rules.map(([name]) => name).sort()).toEqual(
      [
        'alias',
        'concat',
        'embedding',
        'expand',
        'flip',
        'matmul',
        'permute',
        'reshape',
        'slice',
        'split',
        'version',
      ].sort(),
    );
    const { accepts } = ops.embedding.atOnce as AtOnce;
    expect(accepts?.([true, false], [])).toBe(false);
  });
});

describe('what a body draws', () => {
  /** Picks a word by chance, and what it drops is dropped in backward too. */
  const talk: (W: Tensor, table: Tensor) => ScanStep =
    (W, table) =>
    ([h, id]) => {
      const next = dropout(matmul(h as Tensor, W).add(embedding(id as Tensor, table)), 0.3).tanh();
      const logits = matmul(next, table.transpose());
      const token = categorical(logits);
      return { carry: [next, token], y: [logits, token, sample(logits, { topK: 3, temperature: 0.7 })] };
    };

  it('differs from step to step, and is the same uncompiled, compiled and in a loop', async () => {
    const [W, table, h0] = [draw([8, 8], -1, 1), draw([6, 8], -1, 1), draw([4, 8])];
    const run = (loop: typeof scan, weight: Tensor, words: Tensor) => {
      const { ys } = loop(talk(weight, words), [h0, zeros([4], 'i32')], [], { length: 12 });
      return [...ys, ...grad(weighted(ys[0] as Tensor), [weight, words])];
    };
    const step = compile((weight: Tensor, words: Tensor) => run(scan, weight, words));
    manualSeed(11);
    const compiled = [await read(...(await step(W, table))), await read(...(await step(W, table)))];
    manualSeed(11);
    const eager = [await read(...run(scan, W, table)), await read(...run(scan, W, table))];
    expect(eager).toEqual(compiled);
    manualSeed(11);
    const looped = await read(...run(unrolled as typeof scan, W, table));
    const [tokens, samples] = [compiled[0]?.[1], compiled[0]?.[2]] as [Int32Array, Int32Array];
    // Whoever drew one number for all steps, or for all rows, would find one word again and again.
    for (const drawn of [tokens, samples]) expect(new Set(drawn).size).toBeGreaterThan(2);
    expect(compiled[0]).not.toEqual(compiled[1]);
    expect(tokens).toEqual(looped[1]);
    expect(samples).toEqual(looped[2]);
  });

  it('is the same in backward', () =>
    checkGradients(
      (h, weight) => {
        const body: ScanStep = ([c]) => {
          const next = dropout(matmul(c as Tensor, weight as Tensor), 0.4).tanh();
          return { carry: [next], y: [dropout(next, 0.5)] };
        };
        const { carry, ys } = scan(body, [h as Tensor], [], { length: 5 });
        return [...carry, ...ys];
      },
      [draw([3, 4]), draw([4, 4], -1, 1)],
    ));
});
