import { describe, expect, it } from 'vitest';
import { countCalls } from '../../demo/counts.ts';
import {
  compile,
  concat,
  conv2d,
  grad,
  maxPool2d,
  optim,
  softmax,
  stack,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { Captioner, type CaptionerConfig } from '../../src/models/index.ts';
import { draw, drawIds } from '../support/draw.ts';
import { expectNear } from '../support/golden.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

const [B, C, V, E, H, T] = [2, 2, 7, 3, 4, 3];
const sizes = { channels: C, vocabulary: V, embedding: E, hidden: H, features: [3, 5] };
const F = 5;
const forms: readonly Partial<CaptionerConfig>[] = [
  { attention: 'additive' },
  { attention: 'none' },
  { coordinates: false },
];
const titled = forms.map((form) => ({ form, title: JSON.stringify(form) }));
/** Rows and columns of images; blocks that halve them twice leave 2 and 1, or 1 and 3. */
const [rows, columns] = [9, 6];
const ids = (of: readonly (readonly number[])[]) => tensor(of as number[][], { dtype: 'i32' });
const eos = 0;

/** A model whose weights are not small: what they do is then seen. */
function drawn(form: Partial<CaptionerConfig> = {}): Captioner {
  const model = new Captioner({ ...sizes, ...form });
  for (const parameter of model.parameters()) parameter.assign(draw(parameter.shape, -0.6, 0.6));
  return model;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const sum = (terms: readonly number[]) => terms.reduce((a, b) => a + b, 0);
const range = <T>(length: number, of: (i: number) => T) => Array.from({ length }, (_, i) => of(i));

/** Logits [T, V] and weights [T, P] of one image and its caption, number by number in double precision. */
async function inDoubles(model: Captioner, image: Float32Array, caption: readonly number[]) {
  const slots = [...model.stateDict()];
  const values = await read(...slots.map(([, value]) => value));
  const of = (name: string) => values[slots.findIndex(([each]) => each === name)] as Float32Array;
  /** W·x + b */
  const linear = (name: string, x: readonly number[], bias: string | null = `${name}.bias`) => {
    const weight = of(name.endsWith('_ih') || name.endsWith('_hh') ? name : `${name}.weight`);
    return range(weight.length / x.length, (row) =>
      sum([bias ? (of(bias)[row] as number) : 0, ...x.map((each, i) => each * (weight[row * x.length + i] as number))]),
    );
  };

  let [height, width] = [rows, columns];
  let maps: number[][] = range(C, (c) => [...image.subarray(c * rows * columns, (c + 1) * rows * columns)]);
  if (model.config.coordinates) {
    const middle = (i: number, extent: number) => (2 * i + 1) / extent - 1;
    maps.push(
      range(rows * columns, (i) => middle(Math.floor(i / columns), rows)),
      range(rows * columns, (i) => middle(i % columns, columns)),
    );
  }
  for (const block of range(2, (n) => n)) {
    const [weight, bias] = [of(`encoder.${block}.weight`), of(`encoder.${block}.bias`)];
    const pixel = (out: number, y: number, x: number) => {
      let value = bias[out] as number;
      for (const [c, map] of maps.entries())
        for (const dy of [0, 1, 2])
          for (const dx of [0, 1, 2]) {
            const [r, k] = [y + dy - 1, x + dx - 1];
            if (r < 0 || k < 0 || r >= height || k >= width) continue;
            value += (weight[((out * maps.length + c) * 3 + dy) * 3 + dx] as number) * (map[r * width + k] as number);
          }
      return Math.max(0, value);
    };
    const [below, beside] = [Math.floor(height / 2), Math.floor(width / 2)];
    maps = range(bias.length, (out) =>
      range(below * beside, (i) => {
        const [y, x] = [2 * Math.floor(i / beside), 2 * (i % beside)];
        return Math.max(pixel(out, y, x), pixel(out, y, x + 1), pixel(out, y + 1, x), pixel(out, y + 1, x + 1));
      }),
    );
    [height, width] = [below, beside];
  }
  const P = height * width;
  const places = range(P, (p) => maps.map((map) => map[p] as number));

  const start = linear(
    'bridge',
    maps.map((map) => sum(map) / P),
  ).map(Math.tanh);
  let [h, c] = [start.slice(0, H), start.slice(H)];
  return caption.map((id) => {
    const x = [...of('embedding.weight').subarray(id * E, (id + 1) * E)];
    let weights: number[] = [];
    let context: number[] = [];
    if (model.attention) {
      const query = linear('attention.query', h, null);
      const energies = places.map((place) =>
        sum(
          linear('attention.key', place, null).map(
            (key, i) => (of('attention.v')[i] as number) * Math.tanh(key + (query[i] as number)),
          ),
        ),
      );
      const all = sum(energies.map(Math.exp));
      weights = energies.map((energy) => Math.exp(energy) / all);
      context = range(F, (f) => sum(places.map((place, p) => (weights[p] as number) * (place[f] as number))));
    }
    const ofInput = linear('cell.weight_ih', [...x, ...context], 'cell.bias_ih');
    const ofState = linear('cell.weight_hh', h, 'cell.bias_hh');
    const gate = (n: number, i: number) => (ofInput[n * H + i] as number) + (ofState[n * H + i] as number);
    c = c.map((cell, i) => sigmoid(gate(1, i)) * cell + sigmoid(gate(0, i)) * Math.tanh(gate(2, i)));
    h = c.map((cell, i) => sigmoid(gate(3, i)) * Math.tanh(cell));
    const output = linear('combine', [...h, ...context]).map((each, i) => each + (x[i] as number));
    return { logits: linear('head', output), weights };
  });
}

/** Logits [B, T, V] by plain ops, one step at a time. */
function stepByStep(model: Captioner, images: Tensor, inputs: Tensor): Tensor {
  const middles = (extent: number, shape: number[]) =>
    tensor(
      range(extent, (i) => (2 * i + 1) / extent - 1),
      { shape },
    ).expand([B, 1, rows, columns]);
  let maps = model.config.coordinates
    ? concat([images, middles(rows, [1, 1, rows, 1]), middles(columns, [1, 1, 1, columns])], 1)
    : images;
  for (const { weight, bias } of model.encoder)
    maps = maxPool2d(conv2d(maps, weight, bias, { padding: 1 }).maximum(0), 2);
  const memory = maps.reshape([B, F, -1]).transpose(1, 2); // [B, P, F]
  let [h, c] = model.bridge.forward(memory.mean(1)).tanh().split(H, 1) as [Tensor, Tensor];
  const steps = range(T, (t) => {
    const x = model.embedding.forward(inputs.at(t, 1));
    let context: Tensor[] = [];
    if (model.attention) {
      const { query, key, v } = model.attention;
      const energies = key.forward(memory).add(query.forward(h).unsqueeze(1)).tanh().mul(v).sum(2); // [B, P]
      context = [softmax(energies).unsqueeze(1).matmul(memory).squeeze(1)];
    }
    const { weight_ih, weight_hh, bias_ih, bias_hh } = model.cell;
    const ofInput = concat([x, ...context], 1)
      .matmul(weight_ih.transpose())
      .add(bias_ih as Tensor);
    const ofState = h.matmul(weight_hh.transpose()).add(bias_hh as Tensor);
    const [i, f, g, o] = ofInput.add(ofState).split(H, 1) as [Tensor, Tensor, Tensor, Tensor];
    c = f.sigmoid().mul(c).add(i.sigmoid().mul(g.tanh()));
    h = o.sigmoid().mul(c.tanh());
    return model.head.forward(x.add(model.combine.forward(concat([h, ...context], 1))));
  });
  return stack(steps, 1);
}

describe('Captioner', () => {
  it.for(titled)('gives what its formulas give in double precision: $title', async ({ form }) => {
    const model = drawn(form);
    const images = draw([B, C, rows, columns]);
    const captions = [
      [0, 3, 6],
      [0, 5, 1],
    ];
    const aligned = model.attention ? model.align(images, ids(captions)) : null;
    const logits = model.forward(images, ids(captions));
    const [given, found, weights] = (await read(
      images,
      logits,
      ...(aligned ? [aligned.weights] : []),
    )) as Float32Array[];
    const wanted = [];
    for (const [b, caption] of captions.entries())
      wanted.push(...(await inDoubles(model, (given as Float32Array).slice(b * C * rows * columns), caption)));
    expectNear(
      found as Float32Array,
      wanted.flatMap(({ logits }) => logits),
      'logits',
    );
    if (weights)
      expectNear(
        weights,
        wanted.flatMap(({ weights }) => weights),
        'weights',
      );
    expect(aligned?.weights.shape ?? [B, T, 2]).toEqual([B, T, 2]);
  });

  it.for(titled)('has the gradients that plain ops have: $title', async ({ form }) => {
    const model = drawn(form);
    const [images, inputs, dy] = [draw([B, C, rows, columns]), drawIds([B, T], V), draw([B, T, V])];
    const named = [['images', images] as const, ...model.namedParameters()];
    const gradients = (logits: Tensor) =>
      grad(
        logits.mul(dy).sum(),
        named.map(([, leaf]) => leaf),
      );
    const values = (await read(
      ...gradients(model.forward(images, inputs)),
      ...gradients(stepByStep(model, images, inputs)),
    )) as Float32Array[];
    // Scores of places that are alike get differences of numbers that are nearly equal: errors are those of the numbers.
    const [all, wanted] = [values.slice(0, named.length), values.slice(named.length)];
    const largest = Math.max(...wanted.flatMap((each) => Array.from(each, Math.abs)));
    for (const [i, [name]] of named.entries())
      for (const [j, want] of (wanted[i] as Float32Array).entries())
        expect(Math.abs((all[i]?.[j] as number) - want), `${name}[${j}]`).toBeLessThan(
          1e-5 * Math.abs(want) + 1e-6 * largest,
        );
  });

  it.for(titled)('step by step is what it is all at once: $title', async ({ form }) => {
    const model = drawn(form);
    const [images, inputs] = [draw([B, C, rows, columns]), drawIds([B, T], V)];
    const whole = model.forward(images, inputs);
    let state = model.start(images);
    const steps = range(T, (t) => {
      const next = model.step(inputs.at(t, 1), state);
      state = [...next.state];
      expect(next.alignment?.shape).toEqual(model.attention ? [B, 2] : undefined);
      return next.logits;
    });
    const [expected, found] = (await read(whole, stack(steps, 1))) as [Float32Array, Float32Array];
    expectNear(found, expected, 'logits');
  });

  it('has the mean of what each target costs for its loss, and none beyond the end of a caption', async () => {
    const model = drawn();
    const [images, inputs, targets] = [draw([B, C, rows, columns]), drawIds([B, T], V), drawIds([B, T], V)];
    const values = await read(
      model.forward(images, inputs),
      targets,
      model.loss(images, inputs, targets, { targetLengths: [3, 1] }),
    );
    const [logits, wanted, loss] = values as [Float32Array, Int32Array, Float32Array];
    const costs = [0, 1, 2, 3].map((token) => {
      const scores = [...logits.subarray(token * V, (token + 1) * V)];
      return Math.log(sum(scores.map(Math.exp))) - (scores[wanted[token] as number] as number);
    });
    expectNear(loss, [sum(costs) / 4], 'loss');
  });

  it('starts its convolutions with the variance that ReLU wants, uniform within ±√(6 / fan-in)', async () => {
    const [first, second] = (await read(...new Captioner(sizes).encoder.map(({ weight }) => weight))) as Float32Array[];
    for (const [weight, bound] of [
      [first, Math.sqrt(6 / ((C + 2) * 9))],
      [second, Math.sqrt(6 / (3 * 9))],
    ] as const) {
      const largest = Math.max(...Array.from(weight as Float32Array, Math.abs));
      // Of the 108 numbers or more none lies in the upper tenth with a probability of 1e-5.
      expect(largest).toBeLessThanOrEqual(bound * (1 + 1e-6));
      expect(largest).toBeGreaterThan(0.9 * bound);
    }
  });

  it('keeps its weights in a state dict under names of its parts', async () => {
    const model = drawn();
    const names = [
      ...['encoder.0.weight', 'encoder.0.bias', 'encoder.1.weight', 'encoder.1.bias', 'bridge.weight', 'bridge.bias'],
      ...['embedding.weight', 'attention.query.weight', 'attention.key.weight', 'attention.v'],
      ...['cell.weight_ih', 'cell.weight_hh', 'cell.bias_ih', 'cell.bias_hh', 'combine.weight', 'combine.bias'],
      ...['head.weight', 'head.bias'],
    ];
    expect([...model.stateDict().keys()].toSorted()).toEqual(names.toSorted());
    const other = new Captioner(sizes);
    other.loadStateDict(model.stateDict());
    const [images, inputs] = [draw([B, C, rows, columns]), drawIds([B, T], V)];
    const [mine, its] = (await read(model.forward(images, inputs), other.forward(images, inputs))) as Float32Array[];
    expect(its).toEqual(mine);
  });

  /** Where the light is in an image of 8 by 8: a word for the rows, and one for the columns. */
  const lights = range(64, (i) => {
    const [y, x] = [Math.floor(i / 8), i % 8];
    return { pixel: i, caption: [y < 4 ? 1 : 2, x < 4 ? 3 : 4, eos] };
  });
  const tiny = { channels: 1, vocabulary: 5, embedding: 8, hidden: 16, features: [8, 8] };

  it('learns to say where a light is, with one submit a step, and captions so, with one a chunk', {
    timeout: 120_000,
  }, async () => {
    const model = new Captioner(tiny);
    const optimizer = new optim.Adam(model.parameters(), { lr: 3e-2 });
    const images = tensor(
      lights.flatMap(({ pixel }) => range(64, (i) => (i === pixel ? 4 : 0))),
      { shape: [64, 1, 8, 8] },
    );
    const targets = ids(lights.map(({ caption }) => caption));
    const inputs = ids(lights.map(({ caption }) => [eos, ...caption.slice(0, -1)]));
    const step = compile(() => {
      const loss = model.loss(images, inputs, targets);
      loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    });
    await step();
    const { counts } = await countCalls(() => step());
    expect(counts).toMatchObject({ submits: 1, buffers: 0, bindGroups: 0, pipelines: 0 });
    for (let i = 0; i < 100; i++) await step();

    announceReads(8);
    const options = { beams: 1, maxLength: 4, eos };
    const found = await model.caption(images, options);
    expect(found.map(([best]) => best?.ids)).toEqual(lights.map(({ caption }) => caption));
    expect(found[0]?.[0]?.alignment?.map((weights) => weights.length)).toEqual([4, 4, 4]);
    // The look at the images, the search, which is one chunk, and its alignments.
    const again = await countCalls(() => model.caption(images, options));
    expect(again.counts).toMatchObject({ submits: 3, pipelines: 0 });
  });

  it('says what it wants', () => {
    expect(() => new Captioner({ ...sizes, features: [] })).toThrow(
      '[Captioner] features must be an array of one or more positive integers, like [32, 64], got',
    );
    expect(() => new Captioner({ ...sizes, hidden: 0 })).toThrow('[Captioner] hidden must be');
    const model = new Captioner(sizes);
    const [images, inputs] = [draw([B, C, rows, columns]), drawIds([B, T], V)];
    expect(() => model.forward(draw([B, 3, rows, columns]), inputs)).toThrow(
      '[Captioner] the images must be [B, 2, H, W], got [2, 3, 9, 6]',
    );
    expect(() => model.forward(draw([C, rows, columns]), inputs)).toThrow(
      'the images must be [B, 2, H, W], got [2, 9, 6]',
    );
    expect(() => model.encode(drawIds([B, C, rows, columns], 2))).toThrow(
      '[Captioner] the images must be f32, got i32',
    );
    expect(() => model.encode(draw([B, C, 9, 3]))).toThrow(
      '[Captioner] 2 blocks halve an image so often that it must have 4 rows and columns or more, got [2, 2, 9, 3]',
    );
    expect(() => model.forward(images, drawIds([T], V))).toThrow('[Captioner] the inputs must be ids [B, T], got [3]');
    expect(() => model.forward(images, drawIds([3, T], V))).toThrow('as many rows of inputs as of images, 2, got 3');
    expect(() => model.loss(images, inputs, drawIds([B, 4], V))).toThrow(
      '[Captioner] targets must be those of the inputs, [2, 3], got [2, 4]',
    );
    expect(() => model.loss(images, inputs, inputs, { targetLengths: [0, 3] })).toThrow(
      '[Captioner] targetLengths must be 2',
    );
    expect(() => new Captioner({ ...sizes, attention: 'none' }).align(images, inputs)).toThrow('nothing to align');
    expect(() => model.caption(images, { beams: 2, maxLength: 4 } as never)).toThrow(
      '[Captioner.caption] needs the option eos',
    );
  });
});
