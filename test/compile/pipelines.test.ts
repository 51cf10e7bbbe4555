import { expect, it, vi } from 'vitest';
import {
  compile,
  concat,
  crossEntropy,
  dropout,
  manualSeed,
  models,
  nn,
  optim,
  parameter,
  randint,
  randn,
  type Tensor,
} from '../../src/index.ts';
import { drawIds } from '../support/draw.ts';
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
 * Ten lengths between two powers of two, and so three times them; none is a multiple of 4. What else a length decides is a choice of few: how many lanes
 * (a power of two) a row is put to, whether tiles are whole, whether there are vectors of four.
 */
const lengths = [43, 45, 46, 47, 49, 50, 53, 55, 58, 61];

/**
 * Pipelines that further lengths add where an index is divided by what a length decides: with the first, four that have it as
 * a constant, one for all the others, and no more.
 */
const constantsFirst = [1, 1, 1, 1, 0, 0, 0, 0, 0];

/** Pipelines that a run with each length but the first adds. */
async function addedByEach(run: (length: number) => Promise<unknown>): Promise<number[]> {
  const counts: number[] = [];
  for (const length of lengths) counts.push(await added(() => run(length)));
  return counts.slice(1);
}

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

it('gradients of means over ten lengths of the last dimension', async () => {
  const counts = await addedByEach(async (T) => {
    const x = randn([3, T]);
    const w = parameter(x);
    const step = compile(() => {
      const means = w.square().mean(-1);
      means.square().sum().backward();
      return [means, taken(w)] as const;
    });
    const [values, means, gradient] = (await read(x, ...(await step()))) as [Float32Array, Float32Array, Float32Array];
    for (const [i, value] of values.entries()) {
      const wanted = (4 * (means[Math.floor(i / T)] as number) * value) / T;
      // Roundings of 1/T, and of four products at most.
      expect(Math.abs((gradient[i] as number) - wanted)).toBeLessThanOrEqual(6 * 2 ** -24 * Math.abs(wanted));
    }
    const { program } = await step.prepare();
    const divides = program.commands.filter(
      (each) => each.kind === 'dispatch' && /\(i \/ \d+u\)/.test(each.shader.code),
    );
    expect(divides).toHaveLength(lengths.indexOf(T) < 4 ? 1 : 0);
  });
  expect(counts).toEqual(constantsFirst);
});

it('concatenations along ten lengths', async () => {
  const counts = await addedByEach(async (T) => {
    const parts = [randn([3, T, 5]), randn([3, 2, 5])];
    const step = compile((a: Tensor, b: Tensor) => concat([a, b], 1).mul(3));
    const [joined] = await read(await step(...(parts as [Tensor, Tensor])));
    const [first, second] = await read(...parts);
    const rows = [0, 1, 2].flatMap((b) => [
      ...(first?.subarray(b * T * 5, (b + 1) * T * 5) ?? []),
      ...(second?.subarray(b * 10, (b + 1) * 10) ?? []),
    ]);
    expect(joined).toEqual(Float32Array.from(rows, (x) => 3 * x));
  });
  expect(counts).toEqual(constantsFirst);
});

it('positions, biases and dropout at ten lengths', async () => {
  const [B, E] = [3, 12];
  const [positions, bias] = [parameter(randn([64, E])), parameter(randn([E]))];
  const [added, own] = await read(positions, bias);
  const counts = await addedByEach(async (T) => {
    const step = compile((x: Tensor) => {
      const y = dropout(x.add(positions.slice([[0, T]])).add(bias), 0.5);
      y.sum().backward();
      return [y, taken(positions), taken(bias)] as const;
    });
    const x = randn([B, T, E]);
    const [y, ofPositions, ofBias] = (await read(...(await step(x)))) as [Float32Array, Float32Array, Float32Array];
    const [values] = (await read(x)) as [Float32Array];
    const [scales, scalesOfBias] = [new Float32Array(64 * E), new Float32Array(E)];
    for (const [i, value] of values.entries()) {
      const e = i % E;
      const sum = Math.fround(Math.fround(value + (added?.[i % (T * E)] as number)) + (own?.[e] as number));
      // What is kept counts twice.
      if (y[i] !== 0) expect(y[i]).toBe(2 * sum);
      scales[i % (T * E)] = (scales[i % (T * E)] as number) + (y[i] === 0 ? 0 : 2);
      scalesOfBias[e] = (scalesOfBias[e] as number) + (y[i] === 0 ? 0 : 2);
    }
    expect(ofPositions).toEqual(scales);
    expect(ofBias).toEqual(scalesOfBias);
  });
  // The chain, and the gradient that is laid into that of all positions.
  expect(counts).toEqual(constantsFirst);
});

it('training steps of a GPT at ten lengths', async () => {
  const model = new models.GPT({
    ...{ vocabularySize: 17, contextLength: 64, layers: 2, heads: 2, width: 16, dropout: 0.1 },
  });
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 });
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = model.loss(x, y);
    loss.backward();
    optim.clipGradNorm(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  // Products, norms, attention and losses take any length; rows of the position embedding are added for T · E elements.
  const counts = await addedByEach((T) => step(randint(0, 17, [3, T]), randint(0, 17, [3, T])));
  expect(counts).toEqual(constantsFirst);
});

it('a GPT’s losses and gradients have the same bits whether extents are constants or uniforms', async () => {
  const choose = vi.spyOn(device.pipelines, 'choose');
  const [x, y] = [randint(0, 17, [3, 45]), randint(0, 17, [3, 45])];
  const run = async (general: boolean): Promise<Uint32Array[]> => {
    choose.mockImplementation((shaders) => shaders.map((each) => (general && each.general?.()) || each));
    manualSeed(7);
    const model = new models.GPT({
      ...{ vocabularySize: 17, contextLength: 64, layers: 1, heads: 2, width: 12, dropout: 0.1 },
    });
    const step = compile(() => {
      const loss = model.loss(x, y);
      loss.backward();
      return [loss, ...model.parameters().map(taken)];
    });
    const values = await read(...(await step()));
    const { commands } = (await step.prepare()).program;
    const forms = commands.filter((each) => each.kind === 'dispatch' && each.shader.code.includes('fn shortQuotient'));
    expect(forms.length > 0).toBe(general);
    return values.map(({ buffer }) => new Uint32Array(buffer));
  };
  try {
    expect(await run(true)).toEqual(await run(false));
  } finally {
    choose.mockRestore();
  }
});

/** Nine lengths of batches for an epoch: most a multiple of four, the last ones cut off anywhere. */
const batches = [24, 23, 22, 20, 18, 17, 16, 12, 9];

it('nine batch lengths of an LSTM model with clipping: the second brings one pipeline at most, the others none', async () => {
  const [table, lstm, head] = [new nn.Embedding(17, 8), new nn.LSTM(8, 16), new nn.Linear(16, 17)];
  const parameters = [table, lstm, head].flatMap((module) => module.parameters());
  const optimizer = new optim.AdamW(parameters, { lr: 0.01 });
  const step = compile(
    (x: Tensor, y: Tensor) => {
      const loss = crossEntropy(head.forward(lstm.forward(table.forward(x))[0]), y);
      loss.backward();
      optim.clipGradNorm(parameters, 1);
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    },
    { plans: batches.length },
  );
  const counts: number[] = [];
  for (const B of batches) counts.push(await added(() => step(drawIds([12, B], 17), drawIds([12, B], 17))));
  // Sums over T · B in weight gradients are whole tiles of 16 in the first, and not in the second; other tests may have made that one.
  const [, second, ...others] = counts;
  expect(second).toBeLessThanOrEqual(1);
  expect(others).toEqual([0, 0, 0, 0, 0, 0, 0]);
});

it('nine batch lengths of a GPT: none brings a pipeline', async () => {
  const model = new models.GPT({ vocabularySize: 17, contextLength: 32, layers: 2, heads: 2, width: 16, dropout: 0.1 });
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.01 });
  const step = compile(
    (x: Tensor, y: Tensor) => {
      const loss = model.loss(x, y);
      loss.backward();
      optim.clipGradNorm(model.parameters(), 1);
      optimizer.step();
      optimizer.zeroGrad();
      return loss;
    },
    { plans: batches.length },
  );
  const counts: number[] = [];
  for (const B of batches) counts.push(await added(() => step(drawIds([B, 32], 17), drawIds([B, 32], 17))));
  expect(counts.slice(1)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
});
