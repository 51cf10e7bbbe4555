import { describe, expect, test } from 'vitest';
import {
  compile,
  defineOp,
  grad,
  grid,
  input,
  matmul,
  output,
  ShapeError,
  sum,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { device, read, useGpu } from '../support/gpu.ts';

useGpu();

/** x³ as an op of one's own: a shader, a shape rule, a gradient in plain ops. */
const source = `// uses: order
struct Params { count: u32 }
const SIZE: u32 = 64u;
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, SIZE);
  let group = groupOrder(workgroup_id, num_workgroups);
  let i = linearGroup(group, num_workgroups) * SIZE + lane;
  if (i < params.count) { y[i] = x[i] * x[i] * x[i]; }
}
`;

const cubeOp = defineOp({
  name: 'cube',
  infer: ([x]) => {
    if (x?.dtype !== 'f32') throw new ShapeError('[cube] takes one f32 tensor');
    return [{ shape: x.shape, dtype: 'f32' }];
  },
  kernel: ([x]) => {
    const count = (x?.shape ?? []).reduce((size, extent) => size * extent, 1);
    const dispatch = {
      kernel: 'cube',
      source,
      bindings: [input(0), output(0)],
      uniforms: { count },
      workgroups: grid(Math.ceil(count / 64)),
    };
    return { dispatches: [dispatch] };
  },
  gradient: ({ inputs: [x] }, [dy]) => [dy && x ? dy.mul(x.square()).mul(3) : null],
});
const cube = (x: Tensor) => cubeOp([x])[0] as Tensor;

describe('an op of one’s own', () => {
  test('whose loops are longer than the device allows is refused', async () => {
    const long = defineOp({
      name: 'long',
      infer: ([x]) => (x ? [x] : []),
      kernel: (_, __, { loopLimit }) => ({
        dispatches: [
          {
            kernel: 'long',
            source,
            bindings: [input(0), output(0)],
            uniforms: { count: 1 },
            workgroups: [1, 1, 1],
            turns: loopLimit + 1,
          },
        ],
      }),
    });
    const { loopLimit } = device.profile;
    if (loopLimit < Number.POSITIVE_INFINITY)
      await expect(read(...long([tensor([1])]))).rejects.toThrow(
        `[long] variant own: one invocation takes ${loopLimit + 1} turns`,
      );
    else await read(...long([tensor([1])]));
  });

  test('runs, on operands however they lie', async () => {
    const x = tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const [plain, turned] = await read(cube(x), cube(x.transpose().add(0)));
    expect([...(plain as Float32Array)]).toEqual([1, 8, 27, 64, 125, 216]);
    expect([...(turned as Float32Array)]).toEqual([1, 64, 8, 125, 27, 216]);
  });

  test('has a gradient, compiled too', async () => {
    const step = compile((x: Tensor) => grad(sum(cube(matmul(x, x))), [x])[0] as Tensor);
    const [gradient] = await read(await step(tensor([[2]])));
    expect(gradient?.[0]).toBe(6 * 2 ** 5);
  });

  test('checks its inputs by its own rule', () => {
    expect(() => cubeOp([tensor(new Int32Array([1]))])).toThrow('[cube] takes one f32 tensor');
  });
});
