import { DeviceLostError, WeftError } from '../core/errors.ts';
import type { SpecialisedShader } from '../kernels/specialise.ts';
import type { Device } from './device.ts';
import { shaderStage } from './flags.ts';

/** Pipelines that are kept for the next plan; those in use are held by their plans. */
const keptPipelines = 2048;

/** Compute pipelines by the text of their shader. Each is compiled once for a device. */
export class PipelineCache {
  readonly #device: Device;
  readonly #gpu: GPUDevice;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #immediate = new Map<string, GPUComputePipeline>();
  readonly #layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();

  constructor(device: Device) {
    this.#device = device;
    this.#gpu = device.gpu;
  }

  get size(): number {
    return this.#pipelines.size + this.#immediate.size;
  }

  /** The pipeline of a shader; many may be asked for at once, and compile in parallel. */
  get(shader: SpecialisedShader, label: string): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(shader.code);
    if (known) {
      this.#pipelines.delete(shader.code);
      this.#pipelines.set(shader.code, known);
      return known;
    }
    // What is wrong with a shader shows in its pipeline: the device needn't report it as well.
    this.#gpu.pushErrorScope('validation');
    const module = this.#gpu.createShaderModule({ code: shader.code, label });
    this.#gpu.popErrorScope().catch(() => {});
    const created = this.#device
      .orLost(
        this.#gpu.createComputePipelineAsync({
          label,
          layout: this.layout(shader.access).pipeline,
          compute: { module, entryPoint: 'main' },
        }),
      )
      .catch(async (error: unknown) => {
        this.#pipelines.delete(shader.code);
        if (error instanceof DeviceLostError) throw error;
        const { messages } = await module.getCompilationInfo();
        const details = messages.map(
          ({ lineNum, message }) => `line ${lineNum}: ${message}\n  ${shader.code.split('\n')[lineNum - 1] ?? ''}`,
        );
        throw new WeftError(
          [
            `[pipeline] ${label} does not compile on this device: ${error instanceof Error ? error.message : String(error)}`,
            ...details,
          ].join('\n'),
        );
      });
    this.#pipelines.set(shader.code, created);
    if (this.#pipelines.size > keptPipelines) {
      const [oldest] = this.#pipelines.keys() as Iterable<string> as [string];
      this.#pipelines.delete(oldest);
    }
    return created;
  }

  /** The same, for work that can't wait: it is compiled until the queue gets there. */
  getNow(shader: SpecialisedShader, label: string): GPUComputePipeline {
    const known = this.#immediate.get(shader.code);
    if (known) return known;
    const pipeline = this.#gpu.createComputePipeline({
      label,
      layout: this.layout(shader.access).pipeline,
      compute: { module: this.#gpu.createShaderModule({ code: shader.code, label }), entryPoint: 'main' },
    });
    this.#immediate.set(shader.code, pipeline);
    return pipeline;
  }

  /** Binding 0 is the uniform block, then one storage buffer for each letter: `r` read, `w` read_write. */
  layout(access: string): { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout } {
    const known = this.#layouts.get(access);
    if (known) return known;
    const storage = [...access].map(
      (letter, i): GPUBindGroupLayoutEntry => ({
        binding: i + 1,
        visibility: shaderStage.COMPUTE,
        buffer: { type: letter === 'r' ? 'read-only-storage' : 'storage' },
      }),
    );
    const group = this.#gpu.createBindGroupLayout({
      label: `weft ${access}`,
      entries: [{ binding: 0, visibility: shaderStage.COMPUTE, buffer: { type: 'uniform' } }, ...storage],
    });
    const layouts = {
      group,
      pipeline: this.#gpu.createPipelineLayout({ label: `weft ${access}`, bindGroupLayouts: [group] }),
    };
    this.#layouts.set(access, layouts);
    return layouts;
  }
}
