import { describe, expect, it } from 'vitest';
import type { Program } from '../../src/compile/program.ts';
import { sizeOf } from '../../src/core/shape.ts';
import {
  argMax,
  compile,
  concat,
  crossEntropy,
  type Device,
  embedding,
  init,
  matmul,
  models,
  nn,
  optim,
  type Parameter,
  parameter,
  randint,
  randn,
  type ScanStep,
  scan,
  softmax,
  type Tensor,
  zeros,
} from '../../src/index.ts';
import { linear } from '../../src/nn/linear.ts';

/**
 * Dispatches of whole training steps (head, loss and Adam) whose recurrence is a `scan`, counted exactly. What a step of the
 * loop costs is what two more steps cost, halved: at an even length as at the next.
 */

const [B, I, H, V] = [8, 32, 64, 20];

/** Compiles a training step, and says what it runs. */
type System = () => Promise<{ readonly program: Program }>;

const weight = (...shape: number[]): Parameter => parameter(randn(shape).mul(0.1));

/** A training step of the classes [T, B] that `output` gives logits for. */
function training(weights: readonly Parameter[], given: readonly Tensor[], output: (...x: Tensor[]) => Tensor): System {
  const optimizer = new optim.Adam([...weights], { lr: 1e-3 });
  const targets = randint(0, V, [(given[0] as Tensor).shape[0] as number, B]);
  const step = compile((y: Tensor, ...x: Tensor[]) => {
    const loss = crossEntropy(output(...x), y);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  return () => step.prepare(targets, ...given);
}

/** h' = tanh(W x + b + U h), all of it in the body. */
function rnn(T: number): System {
  const [W, U, b] = [weight(H, I), weight(H, H), weight(H)] as const;
  const head = new nn.Linear(H, V);
  return training([W, U, b, ...head.parameters()], [randn([T, B, I])], (xs) => {
    const body: ScanStep = ([h], [x]) => {
      const next = linear(x as Tensor, W, b)
        .add(linear(h as Tensor, U))
        .tanh();
      return { carry: [next], y: [next] };
    };
    return head.forward(scan(body, [zeros([B, H])], [xs as Tensor]).ys[0] as Tensor);
  });
}

/** h' = n + z (h − n) (Cho et al. 2014, in PyTorch's form). */
function gru(T: number): System {
  const [W, U, b, c] = [weight(3 * H, I), weight(3 * H, H), weight(3 * H), weight(3 * H)] as const;
  const head = new nn.Linear(H, V);
  return training([W, U, b, c, ...head.parameters()], [randn([T, B, I])], (xs) => {
    const body: ScanStep = (carry, slices) => {
      const [h, x] = [carry[0] as Tensor, slices[0] as Tensor];
      const [rx, zx, nx] = linear(x, W, b).split(H, -1) as [Tensor, Tensor, Tensor];
      const [rh, zh, nh] = linear(h, U, c).split(H, -1) as [Tensor, Tensor, Tensor];
      const n = nx.add(rx.add(rh).sigmoid().mul(nh)).tanh();
      const next = n.add(zx.add(zh).sigmoid().mul(h.sub(n)));
      return { carry: [next], y: [next] };
    };
    return head.forward(scan(body, [zeros([B, H])], [xs as Tensor]).ys[0] as Tensor);
  });
}

/** An LSTM that attends to a memory [B, S, H] (Bahdanau et al. 2015), with embedding and head in its body. */
function decoder(T: number): System {
  const [S, E] = [12, 16];
  const table = weight(V, E);
  const [W, U, b] = [weight(4 * H, E + H), weight(4 * H, H), weight(4 * H)] as const;
  const [ofQuery, ofKeys, scores] = [weight(H, H), weight(H, H), weight(1, H)] as const;
  const head = weight(V, 2 * H);
  const weights = [table, W, U, b, ofQuery, ofKeys, scores, head];
  return training(weights, [randint(0, V, [T, B]), randn([B, S, H])], (ids, source) => {
    const memory = source as Tensor;
    const keys = linear(memory, ofKeys);
    const body: ScanStep = (carry, slices) => {
      const [h, cell] = carry as [Tensor, Tensor];
      const query = linear(h, ofQuery).reshape([B, 1, H]);
      const energies = linear(keys.add(query).tanh(), scores).reshape([B, 1, S]);
      const context = matmul(softmax(energies), memory).reshape([B, H]);
      const x = concat([embedding(slices[0] as Tensor, table), context], -1);
      const gates = linear(x, W, b).add(linear(h, U));
      const [i, f, g, o] = gates.split(H, -1) as [Tensor, Tensor, Tensor, Tensor];
      const nextCell = f.sigmoid().mul(cell).add(i.sigmoid().mul(g.tanh()));
      const next = o.sigmoid().mul(nextCell.tanh());
      return { carry: [next, nextCell], y: [linear(concat([next, context], -1), head)] };
    };
    return scan(body, [zeros([B, H]), zeros([B, H])], [ids as Tensor]).ys[0] as Tensor;
  });
}

/** What the library's own Captioner does at each word, trained on images of 8 by 8. */
function captioner(T: number): System {
  const model = new models.Captioner({ channels: 1, vocabulary: V, embedding: 16, hidden: H, features: [8] });
  const optimizer = new optim.Adam(model.parameters(), { lr: 1e-3 });
  const step = compile((images: Tensor, inputs: Tensor, targets: Tensor) => {
    const loss = model.loss(images, inputs, targets);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  return () => step.prepare(randn([B, 1, 8, 8]), randint(0, V, [B, T]), randint(0, V, [B, T]));
}

/** Embedding and head of a large vocabulary around an RNN: in the body of the scan, or before and after it. */
function languageModel(T: number, inside: boolean, vocabulary = 4000): System {
  const [table, U, head] = [weight(vocabulary, H), weight(H, H), weight(vocabulary, H)] as const;
  return training([table, U, head], [randint(0, V, [T, B])], (ids) => {
    const before = (x: Tensor) => embedding(x, table);
    const after = (h: Tensor) => linear(h, head);
    const same = (x: Tensor) => x;
    const [first, last, outFirst, outLast] = inside ? [same, same, before, after] : [before, after, same, same];
    const body: ScanStep = ([h], [x]) => {
      const next = outFirst(x as Tensor)
        .add(linear(h as Tensor, U))
        .tanh();
      return { carry: [next], y: [outLast(next)] };
    };
    return last(scan(body, [zeros([B, H])], [first(ids as Tensor)]).ys[0] as Tensor);
  });
}

/** A model of 4,000 words that is given the likeliest word of the step before. */
function fedBack(T: number, vocabulary = 4000): System {
  const [table, U, head] = [weight(vocabulary, H), weight(H, H), weight(vocabulary, H)] as const;
  return training([table, U, head], [randn([T, B, H])], (xs) => {
    const body: ScanStep = (carry, slices) => {
      const [h, id] = carry as [Tensor, Tensor];
      const next = embedding(id, table)
        .add(linear(h, U))
        .add(slices[0] as Tensor)
        .tanh();
      const logits = linear(next, head);
      return { carry: [next, argMax(logits, -1)], y: [logits] };
    };
    return scan(body, [zeros([B, H]), zeros([B], 'i32')], [xs as Tensor]).ys[0] as Tensor;
  });
}

async function onGpuKernels<T>(work: (device: Device) => Promise<T>): Promise<T> {
  const device = await init({ profile: 'gpu' });
  try {
    return await work(device);
  } finally {
    device.destroy();
  }
}

async function commandsOf(prepare: System) {
  const { commands } = (await prepare()).program;
  const dispatches = commands.filter(({ kind }) => kind === 'dispatch').length;
  return { commands, dispatches, copies: commands.length - dispatches };
}

const systems = [
  { name: 'an RNN', make: rnn, each: 3, most: 4 },
  { name: 'a GRU', make: gru, each: 5, most: 7 },
  { name: 'a decoder with attention', make: decoder, each: 20, most: 22 },
  // The two biases of its LSTM have one gradient, which is copied to the place of each.
  { name: 'a Captioner', make: captioner, each: 19, most: 22, copies: 2 },
];

describe('a training step of', () => {
  it.for(systems)(
    '$name takes $each dispatches a step of the loop, and $most in all',
    async ({ make, each, most, copies = 0 }) => {
      await onGpuKernels(async () => {
        const short = await commandsOf(make(20));
        const long = await commandsOf(make(22));
        expect((long.dispatches - short.dispatches) / 2).toBe(each);
        expect(short.dispatches).toBeLessThanOrEqual(most * 20);
        // Neither a carry nor what was captured is copied.
        expect([short.copies, long.copies]).toEqual([copies, copies]);
      });
    },
  );

  /** The sizes of what each command of a model of 4,000 words binds, of those that bind something as large. */
  const large = ({ commands }: Awaited<ReturnType<typeof commandsOf>>, least = 4000) =>
    commands
      .map((command) => (command.kind === 'dispatch' ? command.bindings : [command.from, command.to]))
      .map((values) => values.map(({ type }) => sizeOf(type.shape)).filter((size) => size >= least))
      .filter((sizes) => sizes.length > 0);

  it('a model of 4,000 words touches what is as large as often as if it were outside of the scan', async () => {
    await onGpuKernels(async () => {
      const [inside, outside] = [await commandsOf(languageModel(10, true)), await commandsOf(languageModel(10, false))];
      expect(inside.dispatches).toBe(outside.dispatches);
      expect(large(inside)).toEqual(large(outside));
      expect(large(inside).length).toBeGreaterThan(0);
    });
  });

  it('a model that reads what it wrote touches its matrices once a step, and its gradients once in all', async () => {
    await onGpuKernels(async () => {
      const [short, long] = [await commandsOf(fedBack(10)), await commandsOf(fedBack(12))];
      // Forward multiplies with the head and looks rows up; backward is one product, and one sum of rows, for all steps.
      expect(large(long, 4000 * H).length - large(short, 4000 * H).length).toBe(2 * 2);
      expect((long.dispatches - short.dispatches) / 2).toBe(6);
    });
  });
});
