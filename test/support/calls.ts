/** What a piece of work asked of WebGPU. */
export interface Calls {
  dispatches: number;
  submits: number;
  buffers: number;
  bindGroups: number;
  pipelines: number;
  shaderModules: number;
  maps: number;
}

type Method = (...args: never[]) => unknown;

/** Counts calls by wrapping the prototypes of WebGPU while `work` runs. */
export async function countCalls(work: () => unknown): Promise<Calls> {
  const calls: Calls = {
    dispatches: 0,
    submits: 0,
    buffers: 0,
    bindGroups: 0,
    pipelines: 0,
    shaderModules: 0,
    maps: 0,
  };
  const targets: [object, string, keyof Calls][] = [
    [GPUComputePassEncoder.prototype, 'dispatchWorkgroups', 'dispatches'],
    [GPUQueue.prototype, 'submit', 'submits'],
    [GPUDevice.prototype, 'createBuffer', 'buffers'],
    [GPUDevice.prototype, 'createBindGroup', 'bindGroups'],
    [GPUDevice.prototype, 'createComputePipeline', 'pipelines'],
    [GPUDevice.prototype, 'createComputePipelineAsync', 'pipelines'],
    [GPUDevice.prototype, 'createShaderModule', 'shaderModules'],
    [GPUBuffer.prototype, 'mapAsync', 'maps'],
  ];
  const restore = targets.map(([target, name, counter]) => {
    const original = Reflect.get(target, name) as Method;
    Reflect.set(target, name, function (this: object, ...args: never[]) {
      calls[counter]++;
      return original.apply(this, args);
    });
    return () => Reflect.set(target, name, original);
  });
  try {
    await work();
  } finally {
    for (const undo of restore) undo();
  }
  return calls;
}
