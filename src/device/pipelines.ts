import { DeviceLostError, WeftError } from '../core/errors.ts';
import { Recent } from '../core/recent.ts';
import type { SpecialisedShader } from '../kernels/specialise.ts';
import type { Device } from './device.ts';
import { shaderStage } from './flags.ts';

/** Pipelines that are kept for the next plan; those in use are held by their plans. */
const keptPipelines = 2048;

/**
 * Texts of one general form that are compiled with constants; those with other extents take the general pipeline from then on.
 * Models of fixed shapes have few: the rows of three or four widths that a bias is added to. A chain that does nothing but find
 * its operands takes 0.8 to 1.1 times as long in general form on llvmpipe and 1.1 to 1.4 times on SwiftShader, while a text
 * takes 4 to 15 ms to compile, and up to a second within a large product.
 */
const constantForms = 4;

/** Compute pipelines by the text of their shader. Each is compiled once for a device. */
export class PipelineCache {
  readonly #device: Device;
  readonly #gpu: GPUDevice;
  readonly #pipelines = new Recent<Promise<GPUComputePipeline>>(keptPipelines);
  /** Texts with constants that are in use, by the text of their general form. */
  readonly #forms = new Recent<Set<string>>(keptPipelines);
  readonly #immediate = new Map<string, GPUComputePipeline>();
  readonly #layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();

  constructor(device: Device) {
    this.#device = device;
    this.#gpu = device.gpu;
  }

  get size(): number {
    return this.#pipelines.size + this.#immediate.size;
  }

  /**
   * The forms that shaders of a program take: with constants, unless there are `constantForms` others of the same general
   * form. What is compiled stays in use. Without `keep` it is only told what would be chosen.
   */
  choose(shaders: readonly SpecialisedShader[], keep = true): SpecialisedShader[] {
    const forms = keep ? this.#forms : new Map([...this.#forms].map(([text, used]) => [text, new Set(used)]));
    return shaders.map((shader) => {
      if (!shader.general || this.#pipelines.has(shader.code)) return shader;
      const general = shader.general();
      const used = forms.get(general.code) ?? new Set<string>();
      forms.set(general.code, used);
      if (used.size >= constantForms && !used.has(shader.code)) return general;
      used.add(shader.code);
      return shader;
    });
  }

  /** The pipeline of a shader; many may be asked for at once, and compile in parallel. */
  get(shader: SpecialisedShader, label: string): Promise<GPUComputePipeline> {
    const known = this.#pipelines.get(shader.code);
    if (known) return known;
    // Drops the error of the shader module: the pipeline reports it.
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
    return created;
  }

  /** Returns the pipeline at once, for work that can't wait: the queue waits until it is compiled. */
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
