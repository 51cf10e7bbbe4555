import { expect } from 'vitest';
import { type DType, type HostArray, hostArray } from '../../src/core/dtype.ts';
import { answered } from '../../src/device/answered.ts';
import { firstFinding, mostFindings, statusWords } from '../../src/kernels/findings.ts';
import type { BindingSource, DeviceProfile, Dispatch, KernelCall } from '../../src/kernels/kernel.ts';
import { defaultProfile } from '../../src/kernels/kernel.ts';
import { loopLimitOf } from '../../src/kernels/loopLimit.ts';
import { type SpecialisedShader, specialise, textOf } from '../../src/kernels/specialise.ts';
import { profile } from './environment.ts';

/** Runs kernel calls straight on a device, without the engine: poisoned memory, guard zones, and probes for missing barriers. */

const adapter = await navigator.gpu?.requestAdapter();
const nameOf = ({ vendor, architecture, device, description }: GPUAdapterInfo) =>
  [vendor, architecture, device, description].join(' ');
const adapterName = adapter ? nameOf(adapter.info) : '';

/** The device at default limits, as the run's selection profile sees it. */
export const runProfile: DeviceProfile = {
  ...defaultProfile,
  selection: profile,
  subgroups: adapter?.features.has('subgroups') ?? false,
  loopLimit: loopLimitOf(adapterName, adapter?.info.isFallbackAdapter || /llvmpipe/i.test(adapterName)),
};
export const profiles: readonly DeviceProfile[] = [
  { ...defaultProfile, selection: 'gpu' },
  { ...defaultProfile, selection: 'software' },
];

/** What is changed in a run of a call. */
export interface Probe {
  /** Lanes and workgroups take their coordinates from the last to the first. */
  readonly reversed?: boolean;
  /** Extents are uniforms, as in the pipelines that many of them share. */
  readonly general?: boolean;
  /** The n-th barrier is missing from the text of this shader, or file of the library. */
  readonly without?: { readonly source: string; readonly barrier: number };
}

export interface Output {
  readonly dtype: DType;
  readonly length: number;
}

export interface Run {
  readonly outputs: readonly HostArray[];
  /** The status word: 0, or 1 where a kernel met bad data. */
  readonly status: number;
  /** What kernels told of their steps, by finding. */
  readonly findings: Uint32Array;
}

/** Alignment of sub-ranges at default limits, and the width of a guard zone. */
const guard = 256;
/** A NaN: what is read before it was written shows. */
const poison = 0x7fc12345;
const canary = 0x5ca1ab1e;

const barrier = /^[ \t]*(?:workgroup|storage)Barrier\(\);/gm;
export const barriersOf = (source: string) => source.match(barrier)?.length ?? 0;

/**
 * A dispatch as a probe wants it. Both orders share a text, and so a pipeline: a second bind group tells which it is. (A
 * barrier must go from the text: software adapters execute one in a branch that no lane takes.)
 */
export function probed(dispatch: Dispatch, { without, general }: Probe = {}): SpecialisedShader {
  const declarations = `struct Probe { reversed: u32 }
@group(1) @binding(0) var<uniform> probe: Probe;
${dispatch.declarations ?? ''}`;
  const whole = textOf(dispatch);
  let n = 0;
  const source = without
    ? whole.replace(without.source, (text) => text.replace(barrier, (line) => (n++ === without.barrier ? '' : line)))
    : whole;
  const shader = specialise(
    { ...dispatch, source, library: [], declarations },
    {
      laneOrder:
        'fn laneOrder(local_index: u32, size: u32) -> u32 { return select(local_index, size - 1u - local_index, probe.reversed == 1u); }',
      groupOrder:
        'fn groupOrder(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>) -> vec3<u32> { return select(workgroup_id, num_workgroups - 1u - workgroup_id, probe.reversed == 1u); }',
    },
  );
  return general && shader.general ? shader.general() : shader;
}

interface Gpu {
  readonly device: GPUDevice;
  readonly name: string;
  readonly pipelines: Map<string, Promise<GPUComputePipeline>>;
  /** Errors that no scope caught. */
  readonly errors: string[];
}

let opened: Promise<Gpu> | undefined;

export function gpu(): Promise<Gpu> {
  opened ??= open();
  return opened;
}

async function open(): Promise<Gpu> {
  if (!adapter) throw new Error('WebGPU has no adapter here');
  // One storage buffer more than kernels may use, for what is counted in them (see turns.ts).
  const storageBuffers = Math.min(adapter.limits.maxStorageBuffersPerShaderStage, defaultProfile.storageBuffers + 1);
  const device = await adapter.requestDevice({
    requiredFeatures: runProfile.subgroups ? ['subgroups'] : [],
    requiredLimits: { maxStorageBuffersPerShaderStage: storageBuffers },
  });
  const errors: string[] = [];
  device.addEventListener('uncapturederror', ({ error }) => errors.push(error.message));
  return { device, name: adapterName, pipelines: new Map(), errors };
}

/** Whether lanes run one after another, so that what a missing barrier does is the same each time. */
export const isSoftware = async () => /swiftshader|llvmpipe/i.test((await gpu()).name);

/** A shader module that the compiler had nothing to say about. */
export async function compileModule(label: string, code: string): Promise<GPUShaderModule> {
  const { device } = await gpu();
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ label, code });
  const [error, info] = await Promise.all([device.popErrorScope(), module.getCompilationInfo()]);
  const messages = info.messages.map(({ type, lineNum, message }) => `${type} in line ${lineNum}: ${message}`);
  if (error) messages.push(error.message);
  if (messages.length > 0) throw new Error(`${label}: ${messages.join('\n')}\n${code}`);
  return module;
}

/** Pipelines by text; `groups` is 2 where the text has the probe. */
export async function pipelineOf(label: string, shader: SpecialisedShader, groups: 1 | 2): Promise<GPUComputePipeline> {
  const { device, pipelines } = await gpu();
  let pipeline = pipelines.get(shader.code);
  if (!pipeline) {
    pipeline = compileModule(label, shader.code).then((module) =>
      device.createComputePipelineAsync({
        label,
        layout: device.createPipelineLayout({
          bindGroupLayouts: [layoutOf(device, shader.access), layoutOf(device, '')].slice(0, groups),
        }),
        compute: { module, entryPoint: 'main' },
      }),
    );
    pipelines.set(shader.code, pipeline);
  }
  return pipeline;
}

function layoutOf(device: GPUDevice, access: string): GPUBindGroupLayout {
  const types: GPUBufferBindingType[] = ['uniform'];
  for (const letter of access) types.push(letter === 'r' ? 'read-only-storage' : 'storage');
  return device.createBindGroupLayout({
    entries: types.map((type, binding) => ({ binding, visibility: GPUShaderStage.COMPUTE, buffer: { type } })),
  });
}

/** A sub-range of a buffer between two guard zones. */
interface Guarded {
  readonly name: string;
  readonly buffer: GPUBuffer;
  readonly size: number;
}

/**
 * Runs a call once for each probe, all in one submit, which has `failed` before where that is said. Fails on any error or message of WebGPU and on a write outside of
 * outputs and scratch.
 */
export async function runCall(
  call: KernelCall,
  inputs: readonly HostArray[],
  outputs: readonly Output[],
  probes: readonly Probe[] = [{}],
  failed = false,
): Promise<Run[]> {
  const { device, errors } = await gpu();
  const shaders = probes.map((probe) => call.dispatches.map((dispatch) => probed(dispatch, probe)));
  const pipelines = await Promise.all(
    shaders.map((each) =>
      Promise.all(call.dispatches.map(({ kernel }, d) => pipelineOf(kernel, each[d] as SpecialisedShader, 2))),
    ),
  );
  const buffers: GPUBuffer[] = [];
  const create = (size: number, usage: number, words?: ArrayBufferView<ArrayBuffer>) => {
    const buffer = device.createBuffer({ size, usage: usage | GPUBufferUsage.COPY_DST });
    if (words) device.queue.writeBuffer(buffer, 0, words);
    buffers.push(buffer);
    return buffer;
  };
  const guarded = (name: string, size: number, content?: HostArray): Guarded => {
    const words = new Uint32Array((2 * guard + size) / 4).fill(canary);
    words.fill(poison, guard / 4, (guard + size) / 4);
    if (content) words.set(new Uint32Array(content.buffer, content.byteOffset, content.length), guard / 4);
    return {
      name,
      size,
      buffer: create(words.byteLength, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC, words),
    };
  };

  device.pushErrorScope('validation');
  device.pushErrorScope('internal');
  device.pushErrorScope('out-of-memory');
  const slots = call.dispatches.length;
  const uniforms = create(
    guard * (slots + 1) * probes.length,
    GPUBufferUsage.UNIFORM,
    uniformsOf(call, shaders, probes),
  );
  const sources = inputs.map((data) => create(data.byteLength, GPUBufferUsage.STORAGE, data));
  const encoder = device.createCommandEncoder();
  const memories = probes.map((_, p) => {
    const contents = new Map<number, number>();
    for (const binding of call.dispatches.flatMap((dispatch) => dispatch.bindings)) {
      if (binding.kind === 'inout') contents.set(binding.output, binding.input);
    }
    const results = outputs.map(({ length }, i) => guarded(`output ${i}`, 4 * length, inputs[contents.get(i) ?? -1]));
    const scratches = (call.scratch ?? []).map((bytes, i) => guarded(`scratch ${i}`, bytes));
    const statusOfRun = guarded(
      'status',
      4 * statusWords,
      Uint32Array.from({ length: statusWords }, (_, i) => Number(failed && i === 0)),
    );
    const resource = (binding: BindingSource): GPUBufferBinding => {
      if (binding.kind === 'input') return { buffer: sources[binding.index] as GPUBuffer };
      const range =
        binding.kind === 'status' || binding.kind === 'findings'
          ? statusOfRun
          : binding.kind === 'scratch'
            ? (scratches[binding.index] as Guarded)
            : (results[binding.kind === 'inout' ? binding.output : binding.index] as Guarded);
      return { buffer: range.buffer, offset: guard, size: range.size };
    };
    const pass = encoder.beginComputePass();
    for (const [d, dispatch] of call.dispatches.entries()) {
      const pipeline = pipelines[p]?.[d] as GPUComputePipeline;
      const first = guard * (slots + 1) * p;
      const params = { buffer: uniforms, offset: first + guard * d, size: guard };
      const probe = { buffer: uniforms, offset: first + guard * slots, size: guard };
      const group = (index: number, resources: GPUBufferBinding[]) =>
        device.createBindGroup({
          layout: pipeline.getBindGroupLayout(index),
          entries: resources.map((each, i) => ({ binding: i, resource: each })),
        });
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group(0, [params, ...dispatch.bindings.map(resource)]));
      pass.setBindGroup(1, group(1, [probe]));
      pass.dispatchWorkgroups(...dispatch.workgroups);
    }
    pass.end();
    return [...results, ...scratches, statusOfRun];
  });
  const ranges = memories.flat();
  const total = ranges.reduce((sum, { buffer }) => sum + buffer.size, 0);
  const staging = create(total, GPUBufferUsage.MAP_READ);
  let at = 0;
  for (const { buffer } of ranges) {
    encoder.copyBufferToBuffer(buffer, 0, staging, at, buffer.size);
    at += buffer.size;
  }
  device.queue.submit([encoder.finish()]);
  const scopes = [device.popErrorScope(), device.popErrorScope(), device.popErrorScope()];
  const caught = (await Promise.all(scopes)).flatMap((error) => error?.message ?? []);
  if (caught.length + errors.length > 0) throw new Error([...caught, ...errors.splice(0)].join('\n'));

  await answered(device.queue, staging.mapAsync(GPUMapMode.READ));
  const bytes = staging.getMappedRange().slice(0);
  for (const buffer of buffers) buffer.destroy();
  at = 0;
  return memories.map((memory) => {
    const regions = memory.map(({ name, size, buffer }) => {
      const words = new Uint32Array(bytes, at, buffer.size / 4);
      const zones = [...words.subarray(0, guard / 4), ...words.subarray((guard + size) / 4)];
      const changed = zones.findIndex((word) => word !== canary);
      if (changed >= 0) {
        throw new Error(
          `${call.dispatches[0]?.kernel} wrote outside of ${name}, at word ${changed} of its guard zones`,
        );
      }
      at += buffer.size;
      return bytes.slice(words.byteOffset + guard, words.byteOffset + guard + size);
    });
    return {
      outputs: outputs.map(({ dtype }, i) => {
        const region = regions[i] as ArrayBuffer;
        const array = hostArray(dtype, region.byteLength / 4);
        new Uint32Array(array.buffer).set(new Uint32Array(region));
        return array;
      }),
      status: new Uint32Array(regions.at(-1) as ArrayBuffer)[0] as number,
      findings: new Uint32Array(regions.at(-1) as ArrayBuffer).subarray(firstFinding, firstFinding + mostFindings),
    };
  });
}

/** For each probe the uniform blocks of all dispatches, and then its own; slots of `guard` bytes each. */
function uniformsOf(
  { dispatches }: KernelCall,
  shaders: readonly (readonly SpecialisedShader[])[],
  probes: readonly Probe[],
): Uint8Array<ArrayBuffer> {
  const slots = dispatches.length + 1;
  const view = new DataView(new ArrayBuffer(guard * slots * probes.length));
  const setters = { f32: 'setFloat32', i32: 'setInt32', u32: 'setUint32' } as const;
  for (const [p, { reversed = false }] of probes.entries()) {
    for (const [d, { kernel, uniforms = {} }] of dispatches.entries()) {
      const { fields } = (shaders[p] as readonly SpecialisedShader[])[d] as SpecialisedShader;
      for (const [i, { name, type, value: own }] of fields.entries()) {
        const value = own ?? (name === 'statusCode' ? 1 : uniforms[name]);
        if (value === undefined) throw new Error(`${kernel} gives no value for ${name}`);
        view[setters[type]](guard * (slots * p + d) + 4 * i, value, true);
      }
    }
    view.setUint32(guard * (slots * p + dispatches.length), Number(reversed), true);
  }
  return new Uint8Array(view.buffer);
}

export function sameBits(a: Run, b: Run): boolean {
  return (
    a.status === b.status &&
    sameWords(a.findings, b.findings) &&
    a.outputs.every((x, i) => sameWords(x, b.outputs[i] as HostArray))
  );
}

function sameWords(a: ArrayBufferView & ArrayLike<number>, b: ArrayBufferView & ArrayLike<number>): boolean {
  const [x, y] = [a, b].map((each) => new Uint32Array(each.buffer, each.byteOffset, each.length)) as [
    Uint32Array,
    Uint32Array,
  ];
  return x.every((word, i) => word === y[i]);
}

/** Fails with the worst element where a value is further from `values` than its tolerance. */
export function expectClose(
  actual: HostArray,
  values: ArrayLike<number>,
  tolerance: number | ArrayLike<number>,
  what: string,
): void {
  expect(actual.length, `${what}: number of elements`).toBe(values.length);
  let worst = -1;
  let excess = 1;
  for (let i = 0; i < values.length; i++) {
    const bound = typeof tolerance === 'number' ? tolerance : (tolerance[i] as number);
    const error = Math.abs((actual[i] as number) - (values[i] as number));
    // Not `>`, so that a NaN is an error.
    if (error <= bound || actual[i] === values[i]) continue;
    const ratio = error / Math.max(bound, 1e-300);
    if (worst < 0 || !(ratio <= excess)) [worst, excess] = [i, ratio];
  }
  if (worst < 0) return;
  const bound = typeof tolerance === 'number' ? tolerance : tolerance[worst];
  expect.fail(`${what}[${worst}] is ${actual[worst]}, must be ${values[worst]} ± ${bound}`);
}
