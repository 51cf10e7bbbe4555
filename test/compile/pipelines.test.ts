import { expect, it } from 'vitest';
import { compile, crossEntropy, dropout, nn, optim, parameter, randint, randn, type Tensor } from '../../src/index.ts';
import { device, read, useGpu } from '../support/gpu.ts';

/**
 * Numbers that vary with extents and positions are uniforms, so that shapes and positions share pipelines: those counted
 * here are compiled for the first of many, and for the others none, or the few that are accounted for.
 */

useGpu();

/** Pipelines that some work adds to those of the device. */
async function added(work: () => Promise<unknown>): Promise<number> {
  const before = device.memory().pipelines;
  await work();
  return device.memory().pipelines - before;
}

/** Pipelines that a run with the first value adds, and runs with all others together. */
async function addedByOthers<T>([first, ...others]: readonly T[], run: (value: T) => Promise<unknown>) {
  return {
    first: await added(() => run(first as T)),
    others: await added(async () => {
      for (const value of others) await run(value);
    }),
  };
}

/**
 * Ten lengths between two powers of two, none a multiple of 4. What else a length decides is a choice of few: how many lanes
 * (a power of two) a row is put to, whether tiles are whole, whether there are vectors of four.
 */
const lengths = [34, 37, 38, 41, 43, 46, 49, 54, 58, 61];

/** The gradient of a parameter that no optimizer holds, for a step to return. */
function taken(weight: ReturnType<typeof parameter>): Tensor {
  const gradient = (weight.grad as Tensor).mul(1);
  weight.grad = null;
  return gradient;
}

/** A training step of a recurrent cell, unrolled over x [T, B, I] by positions. */
function unrolled(T: number): Promise<unknown> {
  const [B, I, H] = [3, 5, 7];
  const weights = [parameter(randn([I, H])), parameter(randn([H, H])), parameter(randn([H]))] as const;
  const step = compile((x: Tensor) => {
    const [input, recurrent, bias] = weights;
    let hidden = x.at(0).matmul(input).add(bias).tanh();
    for (let t = 1; t < T; t++) hidden = x.at(t).matmul(input).add(hidden.matmul(recurrent)).add(bias).tanh();
    const loss = hidden.square().mean();
    loss.backward();
    return [loss, ...weights.map(taken)];
  });
  return step(randn([T, B, I]));
}

it('an unrolled loop compiles few pipelines, whatever its length', async () => {
  const { first, others } = await addedByOthers([8, 64], unrolled);
  // One for each of about a dozen kinds of kernels.
  expect(first).toBeLessThanOrEqual(16);
  // A long sum of gradients is cut into kernels of as many terms as have bindings: what remains may be another number.
  expect(others).toBeLessThanOrEqual(2);
});

it('means of ten lengths, and their gradients', async () => {
  const { others } = await addedByOthers(lengths, async (length) => {
    const w = parameter(randn([length, 4]));
    const step = compile(() => {
      const squares = w.square().mean();
      squares.add(w.mean(0).mean()).backward();
      return [squares, taken(w)] as const;
    });
    const [values, mean, gradient] = (await read(w, ...(await step()))) as [Float32Array, Float32Array, Float32Array];
    const n = values.length;
    const wanted = values.reduce((sum, x) => sum + x * x, 0) / n;
    // A rounding of each square, of each addition and of the division, at most; the terms have one sign.
    expect(Math.abs((mean[0] as number) - wanted)).toBeLessThanOrEqual((n + 2) * 2 ** -24 * wanted);
    for (const [i, x] of values.entries()) {
      // Roundings: of 1/n, 1/length and 1/4, of two products with them and of the sum.
      const error = 6 * 2 ** -24 * ((2 * Math.abs(x) + 1) / n);
      expect(Math.abs((gradient[i] as number) - (2 * x + 1) / n)).toBeLessThanOrEqual(error);
    }
  });
  expect(others).toBe(0);
});

it('rows and slices at ten positions, and their gradients', async () => {
  const x = parameter(randn([64, 4]));
  const [values] = (await read(x)) as [Float32Array];
  // Position 0 has no offset, and texts without one.
  const { others } = await addedByOthers([1, 2, 7, 9, 14, 21, 33, 40, 47, 60], async (t) => {
    const step = compile(() => {
      const [row, rows, column] = [x.at(t), x.slice([[t, t + 3]]), x.slice([null, [1 + (t % 3), 2 + (t % 3)]])];
      row.sum().add(rows.square().sum()).backward();
      return [row.mul(3), rows.mul(3), column.mul(3), taken(x)] as const;
    });
    const [row, rows, column, gradient] = await read(...(await step()));
    const tripled = values.map((value) => 3 * value);
    expect(row).toEqual(tripled.subarray(4 * t, 4 * t + 4));
    expect(rows).toEqual(tripled.subarray(4 * t, 4 * t + 12));
    expect(column).toEqual(tripled.filter((_, i) => i % 4 === 1 + (t % 3)));
    const place = (i: number) => Math.floor(i / 4) - t;
    expect(gradient).toEqual(
      values.map((value, i) => (place(i) === 0 ? 1 : 0) + (place(i) >= 0 && place(i) < 3 ? 2 * value : 0)),
    );
  });
  expect(others).toBe(0);
});

it('ten batch lengths of a training step', async () => {
  const model = new nn.Linear(12, 8);
  const optimizer = new optim.Adam(model.parameters(), { lr: 0.01 });
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = crossEntropy(model.forward(x).relu(), y);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const { others } = await addedByOthers(lengths, (B) => step(randn([B, 12]), randint(0, 8, [B])));
  expect(others).toBe(0);
});

it('ten batch lengths of a recurrent training step', async () => {
  const [lstm, head] = [new nn.LSTM(4, 8), new nn.Linear(8, 8)];
  const optimizer = new optim.Adam([...lstm.parameters(), ...head.parameters()], { lr: 0.01 });
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = crossEntropy(head.forward(lstm.forward(x)[0]), y);
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const { others } = await addedByOthers(lengths, (B) => step(randn([B, 4, 4]), randint(0, 8, [B, 4])));
  expect(others).toBe(0);
});

it('dropouts, as many as there may be', async () => {
  const run = (layers: number) =>
    compile((x: Tensor) => {
      let y = x;
      for (let l = 0; l < layers; l++) y = dropout(y.matmul(x), 0.1);
      return y;
    })(randn([8, 8]));
  const { others } = await addedByOthers([1, 2, 5, 9], run);
  expect(others).toBe(0);
});
