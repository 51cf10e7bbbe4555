import { describe, expect, it } from 'vitest';
import { reachable } from '../../src/graph/node.ts';
import {
  checkpoint,
  dropout,
  grad,
  linearCrossEntropy,
  models,
  nn,
  scaledDotProductAttention,
  scan,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { type OpName, ops } from '../../src/ops/registry.ts';
import { interpret } from '../reference/interpret.ts';
import { checkSlope, compare, objective } from '../support/check.ts';
import { draw, drawIds } from '../support/draw.ts';
import { profile, runtime } from '../support/environment.ts';
import { read, useGpu } from '../support/gpu.ts';
import { type Sample, samples } from '../support/samples.ts';

useGpu();

/** A function of f32 tensors, among them what is differentiated. */
interface Case {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
}

const floats = (tensors: readonly Tensor[]) => tensors.filter(({ dtype }) => dtype === 'f32');

/** ⟨gradients, something drawn⟩ of ⟨outputs, something drawn⟩: its gradients are second derivatives. */
function slopeOf({ inputs, outputs }: Case): Tensor {
  return objective(grad(objective(floats(outputs)), floats(inputs)));
}

/** Checks second derivatives in float64 against differences of first ones. */
function checkSecond(given: Case): void {
  const slope = slopeOf(given);
  const targets = floats(given.inputs);
  checkSlope(
    slope,
    targets,
    interpret(grad(slope, targets)).map(({ value }) => value),
  );
}

// ── every op ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const all = (Object.keys(samples) as OpName[]).flatMap((name) =>
  samples[name].map((sample) => ({ name, label: sample.label, sample })),
);
/** Whether gradients pass through the op. One that makes numbers of nothing has nothing to pass them to. */
const passes = (name: OpName, { outputs }: Case) =>
  name === 'scan' ||
  'gradient' in ops[name] ||
  'decompose' in ops[name] ||
  !reachable(outputs).some(({ op, inputs }) => op === ops[name] && floats(inputs).length > 0);

function caseOf({ inputs, run }: Sample): Case {
  const given = inputs();
  return { inputs: given, outputs: [run(...given)].flat() };
}
/** Integers and booleans have no gradient. */
const hasGradient = ({ inputs, outputs }: Case) => floats(inputs).length > 0 && floats(outputs).length > 0;

// ── what is made of them ─────────────────────────────────────────────────────────────────────────────────────────────

/** A function of tensors and of the parameters of a module, which may be small and drops what it drops. */
function moduleCase(module: nn.Module, x: Tensor, run: (x: Tensor) => Tensor | readonly Tensor[]): Case {
  return { inputs: [x, ...module.parameters()], outputs: [run(x)].flat() };
}
function functionCase(shapes: readonly (readonly number[])[], run: (...x: Tensor[]) => readonly Tensor[]): Case {
  const inputs = shapes.map((shape) => draw(shape, -1, 1));
  return { inputs, outputs: run(...inputs) };
}
const recurrence = (weight: Tensor) => (carry: readonly Tensor[], x: readonly Tensor[]) => {
  const next = (carry[0] as Tensor)
    .matmul(weight)
    .add(x[0] as Tensor)
    .tanh();
  return { carry: [next], y: [next.mul(x[0] as Tensor)] };
};
const sequences = [
  [2, 3],
  [3, 2, 3],
  [3, 3],
];

const composed: Readonly<Record<string, () => Case>> = {
  'a GPT with dropout': () => {
    const model = new models.GPT({ vocabularySize: 5, contextLength: 4, layers: 1, heads: 2, width: 8, dropout: 0.3 });
    const [ids, targets] = [drawIds([2, 4], 5), drawIds([2, 4], 5)];
    return { inputs: model.parameters(), outputs: [model.loss(ids, targets)] };
  },
  'a checkpointed block with dropout and a mask, nested': () => {
    const [q, mask] = [
      [1, 2, 4, 4],
      [4, 4],
    ];
    return functionCase([q, q, mask], (x, y, bias) => {
      const attend = checkpoint((a: Tensor) =>
        scaledDotProductAttention(a, y as Tensor, a.mul(0.5), { mask: bias as Tensor, dropout: 0.4 }),
      );
      return [checkpoint((a: Tensor) => dropout(attend(a.tanh()), 0.3).softmax(1))(x as Tensor)];
    });
  },
  'an LSTM of two layers and directions': () => {
    const lstm = new nn.LSTM(2, 2, { layers: 2, bidirectional: true, dropout: 0.4 });
    return moduleCase(lstm, draw([3, 2, 2]), (x) => lstm.forward(x).flat());
  },
  'a GRU': () => {
    const gru = new nn.GRU(3, 2);
    return moduleCase(gru, draw([3, 2, 3]), (x) => gru.forward(x));
  },
  'an RNN, reverse too': () => {
    const rnn = new nn.RNN(3, 2, { bidirectional: true });
    return moduleCase(rnn, draw([3, 2, 3]), (x) => rnn.forward(x));
  },
  'a scan within a scan': () =>
    functionCase(sequences, (h, xs, weight) => {
      const { carry, ys } = scan(
        ([a], [x]) => {
          const inner = scan(recurrence(weight as Tensor), [a as Tensor], [xs as Tensor], { reverse: true });
          return { carry: inner.carry, y: [(inner.ys[0] as Tensor).sum(0).mul(x as Tensor)] };
        },
        [h as Tensor],
        [xs as Tensor],
      );
      return [...carry, ...ys];
    }),
  'a scan that carries an integer, and reads a constant': () =>
    functionCase(sequences, (h, xs, weight) => {
      const { carry, ys } = scan(
        ([a, n], [x]) => {
          const step = recurrence(weight as Tensor)([a as Tensor], [(x as Tensor).mul(tensor([1, 2, 3]))]);
          return {
            carry: [...step.carry, (n as Tensor).add(1)],
            y: [(step.y[0] as Tensor).mul((n as Tensor).cast('f32'))],
          };
        },
        [h as Tensor, tensor(Int32Array.of(1))],
        [xs as Tensor],
      );
      return [...carry, ...ys];
    }),
  'a scan whose body takes a gradient': () =>
    functionCase(sequences.slice(0, 2), (h, xs) => {
      const descend = ([a]: Tensor[], [x]: Tensor[]) => {
        const [slope] = grad(
          (a as Tensor)
            .mul(x as Tensor)
            .tanh()
            .sum(),
          [a as Tensor],
        );
        return { carry: [(a as Tensor).sub(slope as Tensor)], y: [] };
      };
      return scan(descend, [h as Tensor], [xs as Tensor]).carry;
    }),
  ...Object.fromEntries(
    (['none', 'mean'] as const).map((reduction) => [
      `a cross-entropy in chunks, with a bias, reduction ${reduction}`,
      () =>
        functionCase([[65, 2], [3, 2], [3]], (hidden, weight, bias) => [
          linearCrossEntropy(hidden as Tensor, weight as Tensor, drawIds([65], 3), {
            bias: bias as Tensor,
            chunk: 64,
            labelSmoothing: 0.1,
            reduction,
          }),
        ]),
    ]),
  ),
  // Of third order, then: the slope of a slope of a slope.
  'gradients of gradients': () =>
    functionCase([[3, 5]], (x) => {
      const y = (x as Tensor)
        .gelu()
        .softmax()
        .mul((x as Tensor).sigmoid().exp());
      return grad(objective([y]), [x as Tensor]);
    }),
};

it('a power has the derivatives of a polynomial at 0', async () => {
  const x = tensor([0, -2]);
  const derivatives = [x.pow(2).add(x.pow(0))];
  for (let order = 1; order <= 3; order++)
    derivatives.push(grad((derivatives.at(-1) as Tensor).sum(), [x])[0] as Tensor);
  const exact = interpret(derivatives, { errors: true });
  compare(derivatives, await read(...derivatives), exact);
  expect(exact.map(({ value }) => Array.from(value.data, (y) => y + 0))).toEqual([
    [1, 5],
    [0, -4],
    [2, 2],
    [0, 0],
  ]);
});

describe('second derivatives are what differences of first ones show', () => {
  it.for(all)('$name, $label', ({ name, sample }) => {
    const given = caseOf(sample);
    if (!hasGradient(given)) return;
    if (passes(name, given)) checkSecond(given);
    else expect(() => slopeOf(given)).toThrow(`[backward] ${name} has no gradient`);
  });

  it.for(Object.entries(composed))('%s', ([, make]) => checkSecond(make()));

  it.runIf(runtime === 'deno' && profile === 'gpu')('on the GPU, too', async () => {
    const roots = [
      ...all.flatMap(({ name, sample }) => {
        const given = caseOf(sample);
        return hasGradient(given) && passes(name, given) ? grad(slopeOf(given), floats(given.inputs)) : [];
      }),
      ...Object.values(composed).flatMap((make) => {
        const given = make();
        return grad(slopeOf(given), given.inputs);
      }),
    ];
    const expected = interpret(roots, { errors: true });
    compare(roots, await read(...roots), expected);
  });
});
