import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/compile/program.ts';
import {
  checkpoint,
  compile,
  dropout,
  grad,
  manualSeed,
  matmul,
  models,
  nn,
  noGrad,
  optim,
  parameter,
  scan,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { Plan } from '../../src/runtime/plan.ts';
import { checkGradients } from '../support/check.ts';
import { draw, drawIds } from '../support/draw.ts';
import { announceReads, device, read, useGpu } from '../support/gpu.ts';

useGpu();

/** Loss and gradients of all parameters of a new model, step after step: the same seed gives the same weights and masks. */
async function train<Batch extends Tensor[]>(
  make: () => nn.Module,
  lossOf: (model: nn.Module, ...batch: Batch) => Tensor,
  batch: Batch,
  { compiled }: { compiled: boolean },
): Promise<ArrayLike<number>[]> {
  manualSeed(11);
  const model = make();
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  const plain = (...given: Batch) => {
    const loss = lossOf(model, ...given);
    loss.backward();
    const gradients = model.parameters().map(({ grad: gradient }) => (gradient as Tensor).mul(1));
    optimizer.step();
    optimizer.zeroGrad();
    return [loss, ...gradients];
  };
  const step = compiled ? compile(plain) : plain;
  const seen: ArrayLike<number>[] = [];
  for (let i = 0; i < 3; i++) seen.push(...(await read(...(await step(...batch)))));
  return seen;
}

const gpt = { vocabularySize: 11, contextLength: 6, layers: 3, heads: 2, width: 8, dropout: 0.2 };

describe('checkpoint', () => {
  it.for([true, false])('changes no bit of a training with dropout; compiled: %s', async (compiled) => {
    const ids = [drawIds([2, 6], 11), drawIds([2, 6], 11)] as [Tensor, Tensor];
    const lossOf = (model: nn.Module, x: Tensor, y: Tensor) => (model as models.GPT).loss(x, y);
    const run = (checkpoints: boolean) =>
      train(() => new models.GPT({ ...gpt, checkpoint: checkpoints }), lossOf, ids, { compiled });
    expect(await run(true)).toEqual(await run(false));
  });

  it('works around any module', async () => {
    class Encoder extends nn.Module {
      // A block as GPT's above, on as many tokens: it shares its pipelines.
      readonly first = new nn.TransformerBlock(8, 2, {
        ...{ feedForward: 32, dropout: 0.2, activation: 'gelu', normFirst: true, causal: true, batchFirst: true },
      });
      readonly second = new nn.LSTM(8, 8, { batchFirst: true });
      readonly around: typeof checkpoint;
      constructor(around: typeof checkpoint) {
        super();
        this.around = around;
      }
      forward(x: Tensor): Tensor {
        const mixed = this.around((y: Tensor) => this.first.forward(y))(x);
        // Arrays of results, nested too.
        const [output, [h, c]] = this.around((y: Tensor) => this.second.forward(y))(mixed);
        return output.square().mean().add(h.mul(c).sum());
      }
    }
    const batch = [draw([2, 6, 8])] as [Tensor];
    const run = (around: typeof checkpoint) =>
      train(
        () => new Encoder(around),
        (model, x) => (model as Encoder).forward(x),
        batch,
        { compiled: true },
      );
    expect(await run(checkpoint)).toEqual(await run((fn) => fn));
  });

  it('gives gradients to arguments and to what the function takes from outside, whole graphs and parameters', () =>
    checkGradients(
      (x, y, w) => {
        const before = (y as Tensor).tanh();
        const [sum, product] = checkpoint((a: Tensor, b: Tensor) => [
          a.add(b).exp(),
          [matmul(a, w as Tensor).mul(before)],
        ])(x as Tensor, (x as Tensor).mul(2)) as [Tensor, [Tensor]];
        return [sum.mul(0.1), product[0]];
      },
      [draw([3, 3]), draw([3, 3]), draw([3, 3])],
    ));

  it('nests', () =>
    checkGradients(
      (x, w) =>
        checkpoint((a: Tensor) => {
          const inner = checkpoint((b: Tensor) => matmul(b, w as Tensor).tanh());
          return inner(inner(a).sigmoid()).exp();
        })(x as Tensor),
      [draw([2, 3], -1, 1), draw([3, 3], -1, 1)],
    ));

  it('passes on arguments, results that are made outside, and what is not differentiated', () =>
    checkGradients(
      (x, y) => {
        const [same, twice, outer, stopped] = checkpoint((a: Tensor, b: Tensor) => [
          a,
          b.mul(b),
          y as Tensor,
          noGrad(() => a.mul(3))
            .mul(a.detach())
            .add(a),
        ])(x as Tensor, x as Tensor) as [Tensor, Tensor, Tensor, Tensor];
        return [same, twice, outer.mul(2), stopped];
      },
      [draw([4]), draw([4])],
      // Differences see through what is cut off from gradients.
      { finite: false },
    ));

  it('has the gradients where backward itself runs under noGrad', async () => {
    const [inside, outside] = [parameter(tensor([2, 3])), parameter(tensor([4, 5]))];
    const loss = checkpoint((x: Tensor) => x.mul(x))(inside)
      .add(outside)
      .sum();
    noGrad(() => loss.backward());
    expect(await read(inside.grad as Tensor, outside.grad as Tensor)).toEqual(
      [
        [4, 6],
        [1, 1],
      ].map((values) => new Float32Array(values)),
    );
  });

  it('has gradients of gradients', () =>
    checkGradients(
      (x, w) => {
        const y = checkpoint((a: Tensor) => matmul(a.tanh(), w as Tensor))(x as Tensor);
        return grad(y.square().sum(), [x as Tensor, w as Tensor]);
      },
      [draw([2, 3]), draw([3, 2])],
    ));

  it('works within a scan', () =>
    checkGradients(
      (h, xs, w) => {
        const body = checkpoint((carry: Tensor, x: Tensor) =>
          matmul(carry, w as Tensor)
            .add(x)
            .tanh(),
        );
        const { carry } = scan(
          ([a], [b]) => ({ carry: [body(a as Tensor, b as Tensor)], y: [] }),
          [h as Tensor],
          [xs as Tensor],
        );
        return carry;
      },
      [draw([2, 3]), draw([4, 2, 3]), draw([3, 3])],
    ));

  it('draws the same mask in backward', async () => {
    const x = tensor(new Float32Array(64).fill(1));
    const y = checkpoint((a: Tensor) => dropout(a.exp(), 0.5))(x);
    const [gradient] = grad(y.sum(), [x]);
    const [value, slope] = (await read(y, gradient as Tensor)) as [Float32Array, Float32Array];
    expect(slope).toEqual(value);
    expect(value.filter((each) => each === 0).length).toBeGreaterThan(10);
  });

  it('calls the function once', async () => {
    let calls = 0;
    const w = parameter(draw([3]));
    announceReads(1);
    checkpoint((x: Tensor) => {
      calls++;
      return x.mul(w).exp();
    })(draw([3]))
      .sum()
      .backward();
    await w.grad?.data();
    expect(calls).toBe(1);
  });

  it('says what the function has to return', () => {
    expect(() => checkpoint((() => 3) as unknown as () => Tensor)()).toThrow(
      '[checkpoint] the function must return tensors, and returned none',
    );
  });
});

describe('the memory that checkpoint saves', () => {
  async function summaryOf(checkpoints: boolean) {
    const [B, T, V] = [4, 64, 65];
    const model = new models.GPT({
      vocabularySize: V,
      contextLength: T,
      layers: 12,
      heads: 4,
      width: 64,
      checkpoint: checkpoints,
    });
    const optimizer = new optim.AdamW(model.parameters());
    const step = (x: Tensor, y: Tensor) => {
      const loss = model.loss(x, y);
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    };
    const plan = await Plan.trace(step, [drawIds([B, T], V), drawIds([B, T], V)], device);
    const gradients = 4 * model.parameters().reduce((sum, { size }) => sum + size, 0);
    plan.destroy();
    return { ...plan.summary(), gradients };
  }

  it('leaves a GPT of 12 layers less than a fifth of its activations', async () => {
    const [without, with_] = [await summaryOf(false), await summaryOf(true)];
    // As the README has it.
    expect(with_.peakBytes).toBeLessThan(without.peakBytes / 3);
    const activations = ({ peakBytes, gradients }: typeof without) => peakBytes - gradients;
    expect(activations(with_) / activations(without)).toBeLessThan(0.2);
    // The kernels of a block that are run again: two norms, four products without the last, attention.
    expect(with_.dispatches - without.dispatches).toBe(12 * 6);
  });

  /** Bytes that live at once in a chain of blocks and its backward pass, in matrices of [64, 64]. */
  function matricesOf(blocks: number, block: (x: Tensor) => Tensor, around = checkpoint): number {
    const x = draw([64, 64]);
    let y = x;
    for (let i = 0; i < blocks; i++) y = around(block)(y);
    const results = grad(y.softmax().sum(), [x]);
    const { memory } = buildProgram({ results, updates: [] }, (each) => each.isComputed, device.profile);
    return memory.lowerBound / (4 * 64 * 64);
  }

  it('holds one block at a time', () => {
    const [blocks, block] = [5, (x: Tensor) => x.softmax().softmax().softmax().softmax()];
    // Backward of a softmax reads its result and the gradient of it, and writes another.
    expect(matricesOf(blocks, block, (fn) => fn)).toBe(4 * blocks + 2);
    // What goes into each block but the first, whose input is x, and the last, which is under way: of it, four results.
    expect(matricesOf(blocks, block)).toBe(blocks - 2 + 4 + 2);
  });

  it('computes nothing of a block ahead of its turn, though it would fit into the kernel before', () => {
    const block = (x: Tensor) => x.square().softmax().tanh(); // backward of square needs x too
    const [few, many] = [4, 8].map((blocks) => matricesOf(blocks, block)) as [number, number];
    expect(many - few).toBe(4);
  });
});
