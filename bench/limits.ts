/**
 * What the device can do at most, by kernels that do nothing else: chains of multiply-adds in registers, copies of
 * vec4s, and empty dispatches. Fractions of the limit in the tables refer to these.
 */

import { idle, idleCost } from './measure.ts';

export interface Limits {
  /** Largest rate of multiply-adds, two operations each. */
  readonly gflops: number;
  /** Copies that touch about `bytes` in all: few may stay in a cache. */
  copies(bytes: number): Promise<Copies>;
  /** Microseconds that an empty dispatch adds to a pass. */
  readonly dispatchMicroseconds: number;
  /** Microseconds that a submit of one empty dispatch takes, when many follow each other. */
  readonly submitMicroseconds: number;
}

/** The fastest way to copy that was found, to be timed again in turns with what it bounds. */
export interface Copies {
  /** Gigabytes read and written per second, by the shortest of several measurements. */
  readonly gbps: number;
  /** Bytes that one run reads and writes. */
  readonly bytesPerRun: number;
  /** Submits a run; several copies, so that the submit does not count. */
  run(): void;
  destroy(): void;
}

/** How carefully limits are measured. */
export interface Care {
  /** The best of so many measurements counts. */
  readonly repeats: number;
  /** A measurement lasts at least this long, so that the noise of waiting for it doesn't count. */
  readonly leastMs: number;
}

const mostRepeats = 4096;

const arithmetic = (form: 'fma' | 'mul') => `
@group(0) @binding(0) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let m = vec4f(0.999);
  let c = vec4f(f32(id.x & 7u) * 0.001);
  ${Array.from({ length: 8 }, (_, i) => `var x${i} = vec4f(f32(id.x + ${i}u));`).join(' ')}
  for (var n = 0u; n < 256u; n++) {
    ${Array.from({ length: 8 }, (_, i) => (form === 'fma' ? `x${i} = fma(x${i}, m, c);` : `x${i} = x${i} * m + c;`)).join(' ')}
  }
  y[id.x] = x0 + x1 + x2 + x3 + x4 + x5 + x6 + x7;
}`;
const operations = 256 * 8 * 4 * 2;

/** Copies `each` vec4s per invocation, neighbours side by side: where an invocation itself costs time, more of them are faster. */
const copy = (each: number) => `
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = (id.x + id.y * groups.x * 64u) * ${each}u;
  if (i < arrayLength(&y)) { ${Array.from({ length: each }, (_, k) => `y[i + ${k}u] = x[i + ${k}u];`).join(' ')} }
}`;
const copyForms = [1, 4, 8];
const copiesPerRun = 8;

const empty = '@compute @workgroup_size(1) fn main() {}';

/** Measures a device. Copies are measured when they are asked for. */
export async function measureLimits(gpu: GPUDevice, care: Care): Promise<Limits> {
  const gflops = Math.max(await arithmeticRate(gpu, 'fma', care), await arithmeticRate(gpu, 'mul', care));
  const [dispatchMicroseconds, submitMicroseconds] = await emptyCosts(gpu, care);
  return {
    gflops,
    dispatchMicroseconds,
    submitMicroseconds,
    // To the next power of two, within what default limits allow.
    copies: (bytes) => fastestCopies(gpu, 2 ** Math.min(28, Math.max(16, Math.round(Math.log2(bytes)))), care),
  };
}

async function arithmeticRate(gpu: GPUDevice, form: 'fma' | 'mul', care: Care): Promise<number> {
  const pipeline = await pipelineOf(gpu, arithmetic(form));
  const groups = 1024;
  const y = gpu.createBuffer({ size: groups * 64 * 16, usage: GPUBufferUsage.STORAGE });
  const group = bind(gpu, pipeline, [y]);
  const ms = await fastest(gpu, (pass) => dispatch(pass, pipeline, group, groups), care);
  y.destroy();
  return (groups * 64 * operations) / ms / 1e6;
}

async function fastestCopies(gpu: GPUDevice, bytes: number, care: Care): Promise<Copies> {
  const [x, y] = [0, 1].map(() => gpu.createBuffer({ size: bytes / 2, usage: GPUBufferUsage.STORAGE })) as [
    GPUBuffer,
    GPUBuffer,
  ];
  let best = { ms: Infinity, work: (_: GPUComputePassEncoder): void => {} };
  for (const each of copyForms) {
    const pipeline = await pipelineOf(gpu, copy(each));
    const group = bind(gpu, pipeline, [x, y]);
    const groups = bytes / 2 / 16 / 64 / each;
    const rows = Math.ceil(groups / 65535);
    const work = (pass: GPUComputePassEncoder) => dispatch(pass, pipeline, group, Math.ceil(groups / rows), rows);
    const ms = await fastest(gpu, work, care);
    if (ms < best.ms) best = { ms, work };
  }
  return {
    gbps: bytes / best.ms / 1e6,
    bytesPerRun: bytes * copiesPerRun,
    run: () => record(gpu, best.work, copiesPerRun),
    destroy() {
      x.destroy();
      y.destroy();
    },
  };
}

/** Slopes over many dispatches: in one pass, and one to a submit. */
async function emptyCosts(gpu: GPUDevice, { repeats }: Care): Promise<[dispatch: number, submit: number]> {
  const pipeline = await pipelineOf(gpu, empty);
  const submits = async (count: number) => {
    const start = performance.now();
    for (let i = 0; i < count; i++) record(gpu, (pass) => dispatch(pass, pipeline, null, 1), 1);
    await idle(gpu);
    return performance.now() - start;
  };
  // The shortest of several: whatever else the machine does only adds to them.
  const slope = async (sample: (count: number) => Promise<number>, few: number, many: number) => {
    let [short, long] = [Infinity, Infinity];
    for (let i = 0; i < repeats; i++) {
      short = Math.min(short, await sample(few));
      long = Math.min(long, await sample(many));
    }
    return (1000 * (long - short)) / (many - few);
  };
  const dispatches = (count: number) => time(gpu, (pass) => dispatch(pass, pipeline, null, 1), count);
  return [await slope(dispatches, 500, 4500), await slope(submits, 20, 220)];
}

async function pipelineOf(gpu: GPUDevice, code: string): Promise<GPUComputePipeline> {
  return gpu.createComputePipelineAsync({ layout: 'auto', compute: { module: gpu.createShaderModule({ code }) } });
}

function bind(gpu: GPUDevice, pipeline: GPUComputePipeline, buffers: readonly GPUBuffer[]): GPUBindGroup {
  const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
  return gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
}

function dispatch(
  pass: GPUComputePassEncoder,
  pipeline: GPUComputePipeline,
  group: GPUBindGroup | null,
  x: number,
  y = 1,
) {
  pass.setPipeline(pipeline);
  if (group) pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(x, y);
}

function record(gpu: GPUDevice, work: (pass: GPUComputePassEncoder) => void, count: number): void {
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < count; i++) work(pass);
  pass.end();
  gpu.queue.submit([encoder.finish()]);
}

/** Milliseconds of `count` times `work` in one pass, and of waiting for them. */
async function time(gpu: GPUDevice, work: (pass: GPUComputePassEncoder) => void, count: number): Promise<number> {
  const start = performance.now();
  record(gpu, work, count);
  await idle(gpu);
  return performance.now() - start;
}

/**
 * Milliseconds of one `work`, by the shortest of several runs that last long enough for the wait not to matter: a limit is
 * what was reached once.
 */
async function fastest(
  gpu: GPUDevice,
  work: (pass: GPUComputePassEncoder) => void,
  { repeats, leastMs }: Care,
): Promise<number> {
  await time(gpu, work, 1);
  const wait = await idleCost(gpu);
  let count = 1;
  while (count < mostRepeats && (await time(gpu, work, count)) - wait < leastMs) count *= 2;
  let best = Infinity;
  for (let i = 0; i < repeats; i++) best = Math.min(best, await time(gpu, work, count));
  return (best - wait) / count;
}
