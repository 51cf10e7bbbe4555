import { randomIntegers } from '../../src/core/random.ts';
import { reachable } from '../../src/graph/node.ts';
import { structure } from '../../src/graph/structure.ts';
import {
  compile,
  crossEntropy,
  type Device,
  init,
  models,
  optim,
  randn,
  type Tensor,
  tensor,
} from '../../src/index.ts';
import { spreadOf } from '../measure.ts';

/** What weft costs the processor that it runs on, as a median of `rounds` and a tenth and nine tenths of the way. */
export interface HostCost {
  readonly what: string;
  readonly medianMs: number;
  readonly p10Ms: number;
  readonly p90Ms: number;
  readonly note: string;
}

const rounds = 100;

/** Measures on the device of this runtime, with its own selection of kernels. */
export async function hostCosts(): Promise<HostCost[]> {
  return [...(await firstStep()), ...(await replay()), ...(await eager())];
}

/** A training step of a GPT with 4 heads and V 64: loss, gradients, clipping, AdamW. */
function trainingStep(layers: number, B: number, T: number) {
  const V = 64;
  const model = new models.GPT({ vocabularySize: V, contextLength: T, layers, heads: 4, width: 64 });
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
  const step = compile((x: Tensor, y: Tensor) => {
    const loss = crossEntropy(model.forward(x), y);
    loss.backward();
    optim.clipGradNorm(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const draw = () => tensor(Int32Array.from(randomIntegers(B * T, V)), { shape: [B, T] });
  return { step, x: draw(), y: draw() };
}

/** From the model to the first loss, on a device that has compiled nothing yet; browsers may have the shaders from before. */
async function firstStep(): Promise<HostCost[]> {
  const device = await init();
  const start = performance.now();
  const { step, x, y } = trainingStep(2, 4, 32);
  const plan = await step.prepare(x, y);
  const ready = performance.now();
  await (await step(x, y)).item();
  const done = performance.now();
  const { pipelines, dispatches } = plan.summary();
  device.destroy();
  const note = `GPT of 2 layers, T 32, B 4: ${dispatches} dispatches, ${pipelines} pipelines, ready after ${(ready - start).toFixed(0)} ms`;
  return [single('first step', done - start, note)];
}

/** Replaying a step whose kernels have next to nothing to do, in turns with the same calls made by hand. */
async function replay(): Promise<HostCost[]> {
  const device = await init();
  const { step, x, y } = trainingStep(12, 1, 4);
  const { dispatches, pipelines } = (await step.prepare(x, y)).summary();
  for (let i = 0; i < 10; i++) await (await step(x, y)).item();
  const bare = await recorded(device.gpu, () => step(x, y));
  const samples = { weft: [] as number[], bare: [] as number[] };
  for (let i = 0; i < rounds; i++) {
    samples.weft.push(await timed(device, () => step(x, y)));
    samples.bare.push(await timed(device, bare));
  }
  device.destroy();
  const note = `GPT of 12 layers: ${dispatches} dispatches, ${pipelines} pipelines`;
  return [
    row('replay', samples.weft, note),
    row(
      'the same by hand',
      samples.bare,
      'the same WebGPU calls with the same arguments: what is beyond them is weft’s',
    ),
  ];
}

/** Milliseconds until the work is submitted, on an idle queue. */
async function timed(device: Device, work: () => unknown): Promise<number> {
  await device.gpu.queue.onSubmittedWorkDone();
  await new Promise((resolve) => setTimeout(resolve, 1));
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/**
 * The WebGPU calls that one run of `work` makes, to be made again by hand: what it takes beyond them is the library's own
 * share. What it copies goes to a buffer of its own, since the library's may be waiting for their readers.
 */
async function recorded(gpu: GPUDevice, work: () => unknown): Promise<() => void> {
  const results = gpu.createBuffer({ size: 4096, usage: GPUBufferUsage.COPY_DST });
  const calls = { inPass: [] as Call[], copy: [] as Call[], write: [] as Call[] };
  const endings = [
    spy(GPUComputePassEncoder, 'setPipeline', calls.inPass),
    spy(GPUComputePassEncoder, 'setBindGroup', calls.inPass),
    spy(GPUComputePassEncoder, 'dispatchWorkgroups', calls.inPass),
    spy(GPUCommandEncoder, 'copyBufferToBuffer', calls.copy),
    spy(GPUQueue, 'writeBuffer', calls.write),
  ];
  await work();
  for (const end of endings) end();
  for (const { args } of calls.copy) args[2] = results;
  return () => {
    for (const { method, args } of calls.write) method.apply(gpu.queue, args);
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { method, args } of calls.inPass) method.apply(pass, args);
    pass.end();
    for (const { method, args } of calls.copy) method.apply(encoder, args);
    gpu.queue.submit([encoder.finish()]);
  };
}

type Method = (...args: unknown[]) => unknown;

interface Call {
  readonly method: Method;
  readonly args: unknown[];
}

/** Notes the calls of a method, until the function that it gives is called. */
function spy({ prototype }: { readonly prototype: object }, name: string, calls: Call[]): () => void {
  const methods = prototype as Record<string, Method>;
  const method = methods[name] as Method;
  methods[name] = function (this: unknown, ...args: unknown[]) {
    calls.push({ method, args });
    return method.apply(this, args);
  };
  return () => {
    methods[name] = method;
  };
}

/** Uncompiled use: recording 500 nodes, and finding their plan. */
async function eager(): Promise<HostCost[]> {
  const device = await init();
  const base = randn([8, 8]);
  await base.data();
  const samples = { record: [] as number[], find: [] as number[] };
  let nodes = 0;
  for (let i = 0; i < rounds; i++) {
    const start = performance.now();
    let x: Tensor = base;
    for (let j = 0; j < 72; j++) x = x.matmul(base).add(j).tanh().reshape([4, 16]).mul(0.5).reshape([8, 8]);
    const recorded = performance.now();
    const found = reachable([x], (value) => value.isComputed);
    structure(found, [x]).lines.join(';');
    samples.find.push(performance.now() - recorded);
    samples.record.push(recorded - start);
    nodes = found.length;
    await x.data();
  }
  device.destroy();
  return [
    row('eager: recording', samples.record, `${nodes} nodes`),
    row('eager: plan key', samples.find, `${nodes} nodes: from asking for the value to looking its plan up`),
  ];
}

function row(what: string, samples: readonly number[], note: string): HostCost {
  return { what, ...spreadOf(samples), note };
}

function single(what: string, ms: number, note: string): HostCost {
  return { what, medianMs: ms, p10Ms: ms, p90Ms: ms, note };
}
