/** WebGPU calls that a piece of work makes. */
export interface Counts {
  dispatches: number;
  submits: number;
  buffers: number;
  /** Of the buffers that were created. */
  bufferBytes: number;
  bindGroups: number;
  pipelines: number;
  maps: number;
}

type Methods = Record<string, (...args: unknown[]) => unknown>;

/** The prototypes' methods that count, and as what. Looked up late: without WebGPU these classes are not there. */
const counted = (): readonly [prototype: object, method: string, as: Exclude<keyof Counts, 'bufferBytes'>][] => [
  [GPUComputePassEncoder.prototype, 'dispatchWorkgroups', 'dispatches'],
  [GPUComputePassEncoder.prototype, 'dispatchWorkgroupsIndirect', 'dispatches'],
  [GPUQueue.prototype, 'submit', 'submits'],
  [GPUDevice.prototype, 'createBuffer', 'buffers'],
  [GPUDevice.prototype, 'createBindGroup', 'bindGroups'],
  [GPUDevice.prototype, 'createComputePipeline', 'pipelines'],
  [GPUDevice.prototype, 'createComputePipelineAsync', 'pipelines'],
  [GPUBuffer.prototype, 'mapAsync', 'maps'],
];

/** Runs `work` with WebGPU's methods wrapped, and gives its result with what it called: whatever code made the call. */
export async function countCalls<Result>(work: () => Promise<Result>): Promise<{ result: Result; counts: Counts }> {
  const counts: Counts = {
    dispatches: 0,
    submits: 0,
    buffers: 0,
    bufferBytes: 0,
    bindGroups: 0,
    pipelines: 0,
    maps: 0,
  };
  const restore = counted().map(([prototype, method, as]) => {
    const original = Object.getOwnPropertyDescriptor(prototype, method) as PropertyDescriptor;
    const call = (prototype as Methods)[method] as Methods[string];
    Object.defineProperty(prototype, method, {
      ...original,
      value(this: unknown, ...args: unknown[]) {
        // A submit of nothing only asks how far the device is: src/device/answered.ts.
        if (as !== 'submits' || (args[0] as GPUCommandBuffer[]).length > 0) counts[as]++;
        if (as === 'buffers') counts.bufferBytes += (args[0] as GPUBufferDescriptor).size;
        return call.apply(this, args);
      },
    });
    return () => Object.defineProperty(prototype, method, original);
  });
  try {
    return { result: await work(), counts };
  } finally {
    for (const put of restore) put();
  }
}
