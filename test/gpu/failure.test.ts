import { beforeEach, describe, expect, test } from 'vitest';
import {
  compile,
  crossEntropy,
  embedding,
  ones,
  parameter,
  randn,
  type Tensor,
  tensor,
  ValueError,
} from '../../src/index.ts';
import { announceReads, useGpu } from '../support/gpu.ts';

/** A step that fails, for any reason, leaves all state as it was, and nobody hears of it but who asks for what it made. */
useGpu();
beforeEach(() => announceReads(Infinity));

const ids = (...values: number[]) => tensor(new Int32Array(values));
const bad = /^\[embedding\] a token id lies outside \[0, 3\)/;

describe('the status of a submit', () => {
  test('is thrown at each read of what the submit made, and at no other', async () => {
    const table = parameter(randn([3, 2]));
    for (const look of [
      compile((x: Tensor) => embedding(x, table).sum()),
      compile((x: Tensor) => embedding(x, table).expand([100, 3, 2])),
      async (x: Tensor) => embedding(x, table).sum(),
    ]) {
      const results = [];
      for (const each of [ids(0, 1, 2), ids(0, 7, 1), ids(2, 2, 2)]) results.push(await look(each));
      const [first, failed, last] = results as [Tensor, Tensor, Tensor];
      await expect(failed.data()).rejects.toThrow(bad);
      await expect(failed.data()).rejects.toThrow(ValueError);
      await first.data();
      await last.data();
      expect(await ones([2]).add(1).array()).toEqual([2, 2]);
      await table.data();
    }
  });

  test('goes on to what is made of its values', async () => {
    const table = parameter(randn([3, 2]));
    const look = compile((x: Tensor) => embedding(x, table));
    const double = compile((x: Tensor) => x.mul(2));
    const loss = compile((x: Tensor, y: Tensor) => crossEntropy(x, y));
    const [good, failed] = [await look(ids(0, 1)), await look(ids(0, 3))];
    for (const made of [await double(failed), await loss(failed, ids(0, 1)), failed.sum(), good.add(failed)])
      await expect(made.data()).rejects.toThrow(bad);
    for (const made of [await double(good), await loss(good, ids(0, 1)), good.sum()]) await made.data();
  });

  test('that nobody has read shows once, at a later read of the same function', async () => {
    const table = parameter(randn([3, 2]));
    const look = compile((x: Tensor) => embedding(x, table).sum());
    const other = compile((x: Tensor) => embedding(x, table).mean());
    await look(ids(5));
    await look(ids(1));
    await (await other(ids(0))).data();
    const last = await look(ids(2));
    await expect(last.data()).rejects.toThrow(/^\[embedding\] .* \(in an earlier step, whose results nobody has read/);
    await last.data();
    await (await look(ids(0))).data();
  });
});
