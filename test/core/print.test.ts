import { expect, it } from 'vitest';
import { denoInspect, nodeInspect } from '../../src/core/print.ts';
import { compile, nn, optim, parameter, type Tensor, tensor } from '../../src/index.ts';
import { announceReads, device, useGpu } from '../support/gpu.ts';

useGpu();

/** As consoles do. */
const printed = (value: Tensor) => {
  expect(value[denoInspect]()).toBe(value[nodeInspect]());
  return value[nodeInspect]();
};

it('shows shape and type, and the values where they are on the host', async () => {
  announceReads(2);
  const x = tensor([
    [1, 2.5],
    [-3, 4],
  ]);
  expect(printed(x)).toBe('Tensor([2, 2], f32)\n[[     1, 2.5000],\n [    -3,      4]]');
  expect(printed(tensor([true, false]))).toBe('Tensor([2], bool) [ true, false]');
  const sum = x.sum();
  expect(printed(sum)).toBe('Tensor([], f32) { values: await .print() or .array() }');
  await sum.data();
  expect(printed(sum)).toBe('Tensor([], f32) { values: await .print() or .array() }');
  expect(await sum.print()).toBe('Tensor([], f32)\n4.5000');
  sum.dispose();
  expect(printed(sum)).toBe('Tensor([], f32) { disposed of }');
});

it('shows what parameters and buffers are, without reading them', async () => {
  const [w, b] = [parameter([1, 2]), new nn.Buffer(Int32Array.of(3))];
  expect([printed(w), printed(b)]).toEqual(['Parameter([2], f32) [1, 2]', 'Buffer([1], i32) [3]']);
  let inside = '';
  const step = compile(() => {
    inside = printed(w);
    w.assign(w.add(1));
  });
  await step();
  expect(inside).toBe('Parameter([2], f32) { values: await .print() or .array() }');
  expect(w.state.committed.observed).toBe(false);
  new optim.SGD([w], { lr: 1 });
  expect(printed(w)).toBe('Parameter([2], f32) { values: await .print() or .array() }');
});

it('does not draw initial weights to show them', () => {
  const { weight } = new nn.Linear(3, 2);
  expect(printed(weight)).toBe('Parameter([2, 3], f32) { values: await .print() or .array() }');
});

it('has shape and type as the first fields, which is what the console of a browser shows', () => {
  const all = [tensor([1]), tensor([1]).add(1), parameter([1]), new nn.Buffer([1])];
  for (const each of all) expect(Object.keys(each).slice(0, 2)).toEqual(['shape', 'dtype']);
});

it('is cut short where a tensor is long', () => {
  expect(printed(tensor(new Float32Array(1000)))).toBe('Tensor([1000], f32) [0, 0, 0, …, 0, 0, 0]');
});

it('becomes JSON of shape, type and, where they are on the host, values', () => {
  const json = (value: unknown) => JSON.parse(JSON.stringify(value));
  expect(json(tensor([[1, 2]]))).toEqual({ shape: [1, 2], dtype: 'f32', values: [[1, 2]] });
  expect(json({ loss: tensor([true]).not() })).toEqual({ loss: { shape: [1], dtype: 'bool' } });
  expect(json(parameter([1]))).toEqual({ shape: [1], dtype: 'f32', values: [1] });
});

it('has JSON for whatever holds tensors', () => {
  const model = new nn.Sequential(new nn.Linear(2, 2), new nn.TransformerBlock(4, 2));
  const optimizer = new optim.AdamW(model.parameters());
  const step = compile((x: Tensor) => model.forward(x));
  for (const each of [model, optimizer, step, device, Object.fromEntries(model.stateDict()), new nn.LSTM(2, 3)])
    expect(() => JSON.stringify(each)).not.toThrow();
  expect(JSON.stringify(optimizer)).toContain('{"shape":[2,2],"dtype":"f32"}');
});
