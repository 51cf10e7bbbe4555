import { describe, expect, test } from 'vitest';
import { reachable } from '../../src/graph/node.ts';
import { verify } from '../../src/graph/verify.ts';
import {
  categorical,
  compile,
  dropout,
  full,
  grad,
  init,
  layerNorm,
  lstm,
  matmul,
  mul,
  noGrad,
  ones,
  type Parameter,
  parameter,
  scan,
  softmax,
  sum,
  type Tensor,
  tensor,
  valueAndGrad,
  zeros,
} from '../../src/index.ts';
import { differentiate } from '../../src/ops/autograd.ts';
import { clipNorm } from '../../src/ops/updates.ts';
import { draw } from '../support/draw.ts';
import { profile } from '../support/environment.ts';
import { read, useGpu } from '../support/gpu.ts';

/** The driver: order, accumulation, broadcasting. The rules themselves are tested op by op. */
describe('reverse mode', () => {
  test('a chain of 10,000 ops needs no recursion', () => {
    const x = parameter(ones([1]));
    let y: Tensor = x;
    for (let i = 0; i < 10_000; i++) y = mul(y, x);
    const [gradient] = grad(sum(y), [x]);
    expect(reachable([gradient as Tensor]).length).toBeGreaterThan(20_000);
  });

  test('a value used twice gets both gradients', async () => {
    await init({ profile });
    const x = tensor([3]);
    const [gradient] = grad(sum(mul(x, x).add(x)), [x]);
    expect(await gradient?.array()).toEqual([7]);
  });

  test('broadcast dimensions are summed away', async () => {
    const bias = tensor([1, 2, 3]);
    const [gradient] = grad(sum(mul(ones([4, 3]), bias)), [bias]);
    expect(await gradient?.array()).toEqual([4, 4, 4]);
  });

  test('biases of one sum share its gradient', () => {
    const biases = [tensor([1, 2, 3]), tensor([4, 5, 6])] as const;
    const [first, second] = grad(sum(ones([4, 3]).add(biases[0]).add(biases[1])), biases);
    expect(first).toBe(second);
  });

  test('what does not lead to a target gets no gradient nodes', () => {
    const [a, b] = [parameter(ones([2, 2])), parameter(ones([2, 2]))];
    const gradients = differentiate(sum(matmul(a, b)), (x) => x === a.version);
    expect(gradients.size).toBe(1);
    const [gradient] = [...gradients.values()];
    expect(reachable([gradient as Tensor]).some((node) => node.op.name === 'permute')).toBe(true);
  });

  test('noGrad and detach stop gradients', async () => {
    const x = tensor([2]);
    const [stopped] = grad(sum(noGrad(() => mul(x, x)).add(x)), [x]);
    expect(await stopped?.array()).toEqual([1]);
    const [detached] = grad(sum(mul(x, x).detach().mul(x)), [x]);
    expect(await detached?.array()).toEqual([4]);
    // What has no gradient may come after.
    const [beside] = grad(sum(clipNorm(x.detach(), { maxNorm: 1, strict: false }).norm.mul(x)), [x]);
    expect(await beside?.array()).toEqual([2]);
  });

  test('gradients of gradients', async () => {
    const x = tensor([2]);
    const [first] = grad(sum(mul(mul(x, x), x)), [x]);
    const [second] = grad(sum(first as Tensor), [x]);
    expect([await first?.item(), await second?.item()]).toEqual([12, 12]);
  });

  test('backward fills grad and adds up, valueAndGrad does not touch it', async () => {
    const w = parameter(tensor([5]));
    sum(mul(w, 3)).backward();
    sum(mul(w, 4)).backward();
    expect(await w.grad?.item()).toBe(7);
    const { value, gradients } = valueAndGrad(() => sum(mul(w, w)), [w])();
    expect([await value.item(), await gradients[0]?.item(), await w.grad?.item()]).toEqual([25, 10, 7]);
  });

  test('messages', () => {
    expect(() => ones([2]).backward()).toThrow(/\[backward\] needs a loss of one element, got \[2\]/);
    expect(() => ones([]).backward()).toThrow(/depends on no parameter/);
    expect(() => grad(ones([2]).sum(), [ones([2])], { seed: ones([3]) })).toThrow(/the seed has shape \[3\]/);
  });
});

describe('verify', () => {
  test('passes what the ops record', () => {
    const x = parameter(ones([3, 4]));
    const h = scan(
      ([carry], [slice]) => ({ carry: [(carry as Tensor).add(slice as Tensor)], y: [carry as Tensor] }),
      [ones([4])],
      [x.mul(2)],
    );
    const loss = sum(
      dropout(h.ys[0] as Tensor, 0.5)
        .gelu()
        .softmax(),
    );
    verify([loss, ...grad(loss, [x])]);
  });

  test('names the rule that a forged node breaks', () => {
    const y = ones([2]).add(1).mul(3).exp();
    const forged = { ...y.node, outputs: [ones([3])] };
    y.node = forged;
    expect(() => verify([y])).toThrow(/\[verify\] exp: output 0 is \[3\], the rule says \[2\]/);
  });
});

test('a step may differentiate with respect to its arguments', async () => {
  await init({ profile });
  const slope = compile((x: Tensor) => grad(sum(mul(x, x)), [x])[0] as Tensor);
  expect(await (await slope(tensor([1, 2]))).array()).toEqual([2, 4]);
});

test('a gradient that no op has is refused', () => {
  const drawn = categorical(ones([2, 3])).cast('f32');
  expect(() => grad(sum(clipNorm(ones([4]).mul(drawn.sum()), { maxNorm: 1, strict: false }).norm), [drawn])).toThrow(
    /\[backward\] clipNorm has no gradient/,
  );
});

describe('targets', () => {
  useGpu();

  test('may be constants', async () => {
    // Rules take repeated values that nobody can differentiate for numbers: x·1 is x, a first state of zeros adds nothing.
    const [x, one, zero, row] = [tensor([2, 3]), ones([2]), zeros([2]), full([1, 2], 1)];
    const y = x
      .mul(one)
      .add(zero)
      .mul(row.reshape([2]));
    expect(await values(...grad(y.sum(), [one, zero, row]))).toEqual([
      [2, 3],
      [1, 1],
      [2, 3],
    ]);
    // The gradient of W_hh is that of one step times h0, here zero; its slope in h0 is not.
    const [gates, c0, weight] = [draw([1, 1, 8]), zeros([1, 2]), draw([8, 2])];
    const slope = (h0: Tensor) =>
      grad(sum(grad(lstm(gates, h0, c0, weight).h.sum(), [weight])[0] as Tensor), [h0])[0] as Tensor;
    const [folded, plain] = await values(slope(zeros([1, 2])), slope(tensor([[0, 0]])));
    expect(folded).toEqual(plain);
    expect(plain?.every((each) => each !== 0)).toBe(true);
  });

  test('count every way to them, through other targets too', async () => {
    const a = tensor([3]);
    const b = mul(a, a);
    expect(await values(...grad(sum(mul(a, b)), [a, b]))).toEqual([[27], [3]]);
  });

  test('that are parameters get the gradients of all their versions', async () => {
    const p = parameter(tensor([2]));
    const before = mul(p, p);
    p.assign(tensor([5]));
    const loss = sum(before.add(mul(p, 3)));
    expect(await values(...grad(loss, [p]))).toEqual([[7]]);
  });

  test('must be f32', () => {
    expect(() => grad(ones([]), [tensor(new Int32Array(2))])).toThrow('[grad] target 0 is i32; only f32 has gradients');
  });

  test('do not lie behind a version of a state', async () => {
    const [p, x] = [parameter(tensor([2])), tensor([3])];
    p.assign(mul(p, x));
    expect(await values(...grad(sum(mul(p, x)), [x]))).toEqual([[6]]);
  });
});

describe('a penalty on gradients', () => {
  useGpu();

  /** Σ tanh(x·p)², to which the square of its gradient in x is added. */
  function penalised(p: Tensor): Tensor {
    const x = tensor([1, 2]);
    const loss = sum(mul(x, p).tanh().square());
    return loss.add(sum((grad(loss, [x])[0] as Tensor).square()));
  }

  test('is differentiated in eager and compiled steps, and under noGrad', async () => {
    const start = tensor([0.5, -1]);
    const [eager, compiled, quiet] = [parameter(start), parameter(start), parameter(start)];
    penalised(eager).backward();
    await compile(() => penalised(compiled).backward())();
    const loss = penalised(quiet);
    noGrad(() => loss.backward());
    const roots = [...grad(penalised(start), [start]), ...[eager, compiled, quiet].map((p) => p.grad as Tensor)];
    const [expected, ...found] = await values(...roots);
    for (const gradient of found) expect(gradient).toEqual(expected);
  });

  test('reaches fused kernels and scans under noGrad', async () => {
    const slopes = [
      (x: Tensor) => softmax(x),
      (x: Tensor) => layerNorm(x),
      (x: Tensor) => scan(([h], [y]) => ({ carry: [mul(h as Tensor, y as Tensor)], y: [] }), [x.at(0)], [x]).carry[0],
    ].map((f) => {
      const x = draw([2, 3]);
      const y = sum((f(x) as Tensor).square());
      return { x, slope: sum((grad(y, [x])[0] as Tensor).square()) };
    });
    const expected = slopes.map(({ x, slope }) => grad(slope, [x])[0] as Tensor);
    const found = noGrad(() => slopes.map(({ x, slope }) => grad(slope, [x])[0] as Tensor));
    const all = await values(...expected, ...found);
    expect(all.slice(3)).toEqual(all.slice(0, 3));
    expect(all.every((each) => each.some((value) => value !== 0))).toBe(true);
  });

  test('takes an accumulated gradient for a constant, compiled or not', async () => {
    const twice = (p: Parameter) => {
      sum(mul(p, p).mul(p)).backward(); // 3p²
      const loss = sum(mul(p.grad as Tensor, p));
      loss.backward(); // + 3p²
      return loss;
    };
    const [eager, compiled] = [parameter(tensor([2])), parameter(tensor([2]))];
    twice(eager);
    await compile(() => twice(compiled))();
    expect(await values(eager.grad as Tensor, compiled.grad as Tensor)).toEqual([[24], [24]]);
  });
});

async function values(...tensors: readonly Tensor[]): Promise<number[][]> {
  return (await read(...tensors)).map((each) => [...each]);
}

describe('retainGrad', () => {
  const steps = (w: Tensor, x: Tensor) => {
    const hidden: Tensor[] = [];
    let h = x;
    for (let t = 0; t < 3; t++) {
      h = h.matmul(w).tanh().retainGrad();
      hidden.push(h);
    }
    return { hidden, loss: h.square().sum() };
  };

  test('keeps the gradients of values on the way, which are those that grad gives', async () => {
    const [w, x] = [parameter(draw([3, 3])), draw([2, 3])];
    const { hidden, loss } = steps(w, x);
    const wanted = grad(loss, hidden);
    expect(hidden.map((h) => h.grad)).toEqual([null, null, null]);
    loss.backward();
    const [wGrad] = grad(loss, [w]) as [Tensor];
    const kept = [...hidden.map((h) => h.grad as Tensor), w.grad as Tensor];
    const values = await read(...kept, ...wanted, wGrad);
    for (let i = 0; i < 4; i++) expect(values[i]).toEqual(values[4 + i]);
    expect(loss.grad).toBe(null);
  });

  test('adds up over calls, and takes no frozen parameter with it', async () => {
    const w = parameter(draw([3, 3]));
    const x = draw([2, 3]).retainGrad();
    w.requiresGrad = false;
    const loss = x.matmul(w).sum();
    loss.backward();
    const once = x.grad as Tensor;
    loss.backward();
    const [a, b] = await read(once, x.grad as Tensor);
    expect(Array.from(b ?? [])).toEqual(Array.from(a ?? [], (value) => 2 * value));
    expect(w.grad).toBe(null);
  });

  test('gives results of a compiled step', async () => {
    const [w, x] = [parameter(draw([3, 3])), draw([2, 3])];
    const step = compile((input: Tensor) => {
      const { hidden, loss } = steps(w, input);
      loss.backward();
      w.grad = null;
      return hidden.map((h) => h.grad as Tensor);
    });
    const { hidden, loss } = steps(w, x);
    const values = await read(...(await step(x)), ...grad(loss, hidden));
    for (let i = 0; i < 3; i++) expect(values[i]).toEqual(values[3 + i]);
  });

  test('says what it does not take', () => {
    expect(() => tensor(Int32Array.of(1)).retainGrad()).toThrow('[retainGrad] this is i32; only f32 has gradients');
  });
});
