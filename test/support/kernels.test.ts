import { describe, expect, it } from 'vitest';
import type { HostArray } from '../../src/core/dtype.ts';
import type { Dispatch, KernelCall } from '../../src/kernels/kernel.ts';
import { expectClose, runCall } from './kernels.ts';

const source = `// uses: order
struct Params { written: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> output: array<u32>;
@compute @workgroup_size(4)
fn main(@builtin(workgroup_id) workgroup_id: vec3<u32>, @builtin(local_invocation_index) local_index: u32, @builtin(num_workgroups) num_workgroups: vec3<u32>) {
  let lane = laneOrder(local_index, 4u);
  let group = groupOrder(workgroup_id, num_workgroups);
  let i = workgroup_id.x * 4u + local_index;
  if (i < params.written) { output[i] = group.x * 4u + lane; }
}
`;

const call = (written: number, more: Partial<Dispatch> = {}): KernelCall => ({
  dispatches: [
    {
      kernel: 'test',
      source,
      bindings: [{ kind: 'output', index: 0 }],
      uniforms: { written },
      workgroups: [2, 1, 1],
      ...more,
    },
  ],
});
const outputs = [{ dtype: 'u32' as const, length: 8 }];
const numbers = (array?: HostArray) => Array.from(array ?? []);

describe('the kernel runner', () => {
  it('runs lanes and workgroups in both orders', async () => {
    const [forward, reversed] = await runCall(call(8), [], outputs, [{}, { reversed: true }]);
    expect(numbers(forward?.outputs[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(numbers(reversed?.outputs[0])).toEqual([7, 6, 5, 4, 3, 2, 1, 0]);
  });

  it('poisons outputs with NaN', async () => {
    const [run] = await runCall(call(7), [], outputs);
    expect(new Float32Array(run?.outputs[0]?.buffer ?? [])[7]).toBeNaN();
    expect(() => expectClose(Float32Array.of(Number.NaN), [0], 1, 'output')).toThrow('output[0] is NaN, must be 0 ± 1');
  });

  it('fails on what the compiler has to say, and on a uniform without a value', async () => {
    await expect(
      runCall(call(8, { source: source.replace('4u * 4u', '').replace('let i =', 'let i = nothing +') }), [], outputs),
    ).rejects.toThrow(/nothing/);
    await expect(runCall(call(8, { uniforms: {} }), [], outputs)).rejects.toThrow('test gives no value for written');
  });
});
