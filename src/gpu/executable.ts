import { rootOf, type Value } from '../compile/ir.ts';
import type { Program } from '../compile/program.ts';
import { type DispatchCommand, statusValue } from '../compile/schedule.ts';
import { OutOfMemoryError, UnsupportedError } from '../errors.ts';
import { dtypes, hostArray } from '../graph/dtype.ts';
import { formatShape, sizeOf } from '../graph/shape.ts';
import type { SpecialisedShader } from '../kernels/specialise.ts';
import type { Device } from './device.ts';

/** A range of a buffer. */
export interface Range {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

interface Recorded {
  readonly command: Program['commands'][number];
  readonly pipeline: GPUComputePipeline | null;
  group: GPUBindGroup | null;
}

/** A program on a device: pipelines, slabs, uniforms and bind groups, ready to be encoded again and again. */
export class Executable {
  /** Without the graph that it was built from: an executable is kept for the next time, the graph's tensors are not. */
  readonly program: Pick<Program, 'commands' | 'results' | 'updates' | 'memory'>;
  readonly #device: Device;
  readonly #slabs: readonly GPUBuffer[];
  readonly #dedicated: ReadonlyMap<Value, GPUBuffer>;
  readonly #constants = new Map<Value, GPUBuffer>();
  readonly #uniforms: GPUBuffer;
  readonly #recorded: Recorded[];
  readonly #bound: (Range | null)[];
  readonly #leafIndex: ReadonlyMap<Value, number>;

  private constructor(device: Device, program: Program, pipelines: readonly (GPUComputePipeline | null)[]) {
    this.#device = device;
    const { commands, results, updates, memory } = program;
    this.program = { commands, results, updates, memory };
    this.#slabs = device.buffers.arena(program.memory.slabs);
    this.#dedicated = new Map(
      program.memory.dedicated.map((value) => [value, device.buffers.create(bytesOf(value), `weft ${value.label}`)]),
    );
    this.#recorded = program.commands.map((command, i) => ({ command, pipeline: pipelines[i] ?? null, group: null }));
    this.#uniforms = this.#writeUniforms();
    this.#bound = program.leaves.map(() => null);
    this.#leafIndex = new Map(program.leaves.map(({ value }, i) => [value, i]));
  }

  /** Compiles what is not compiled yet, all pipelines at once. */
  static async create(device: Device, program: Program): Promise<Executable> {
    const pipelines = await Promise.all(
      program.commands.map((command) =>
        command.kind === 'dispatch' ? device.pipelines.get(command.shader, command.label) : null,
      ),
    );
    device.check();
    return new Executable(device, program, pipelines);
  }

  /** Points the leaves at buffers; bind groups are made anew only where a buffer has changed. */
  bind(leaves: readonly Range[]): void {
    const changed = leaves.some(
      (range, i) => range.buffer !== this.#bound[i]?.buffer || range.offset !== this.#bound[i]?.offset,
    );
    if (!changed && this.#recorded.every(({ command, group }) => command.kind === 'copy' || group)) return;
    for (const [i, range] of leaves.entries()) this.#bound[i] = range;
    for (const [i, recorded] of this.#recorded.entries()) {
      if (recorded.command.kind === 'dispatch') recorded.group = this.#bindGroup(recorded.command, i);
    }
  }

  /** Encodes the whole program. Consecutive dispatches share a pass. */
  encode(encoder: GPUCommandEncoder): void {
    let pass: GPUComputePassEncoder | null = null;
    for (const { command, pipeline, group } of this.#recorded) {
      if (command.kind === 'copy') {
        pass?.end();
        pass = null;
        const from = this.range(command.from);
        const to = this.range(command.to);
        encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, bytesOf(command.from));
        continue;
      }
      pass ??= encoder.beginComputePass({ label: 'weft' });
      pass.setPipeline(pipeline as GPUComputePipeline);
      pass.setBindGroup(0, group);
      const [x, y, z] = command.dispatch.workgroups;
      pass.dispatchWorkgroups(x, y, z);
    }
    pass?.end();
  }

  /** Where a value lies. */
  range(value: Value): Range {
    if (value === statusValue) return { buffer: this.#device.status, offset: 0 };
    let offset = 0;
    for (let at = value; at.parent; at = at.parent.value) offset += at.parent.offset * 4;
    const root = rootOf(value);
    const leaf = this.#leafIndex.get(root);
    if (leaf !== undefined) {
      const bound = this.#bound[leaf] as Range;
      return { buffer: bound.buffer, offset: bound.offset + offset };
    }
    const own =
      this.#dedicated.get(root) ??
      (root.constant === undefined ? undefined : this.#constantBuffer(root, root.constant));
    if (own) return { buffer: own, offset };
    const place = this.program.memory.places.get(root);
    if (!place) throw new UnsupportedError(`[plan] ${value.label} has no memory`);
    return { buffer: this.#slabs[place.slab] as GPUBuffer, offset: place.offset + offset };
  }

  destroy(): void {
    this.#device.buffers.destroy(this.#uniforms);
    for (const buffer of [...this.#dedicated.values(), ...this.#constants.values()])
      this.#device.buffers.destroy(buffer);
  }

  /** A repeated value that a kernel reads from memory is written once. */
  #constantBuffer(value: Value, repeated: number): GPUBuffer {
    const known = this.#constants.get(value);
    if (known) return known;
    const data = hostArray(value.type.dtype, sizeOf(value.type.shape)).fill(repeated);
    const buffer = this.#device.buffers.create(data.byteLength, `weft constant ${repeated}`);
    this.#device.gpu.queue.writeBuffer(buffer, 0, data);
    this.#constants.set(value, buffer);
    return buffer;
  }

  #bindGroup(command: DispatchCommand, index: number): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = [
      { binding: 0, resource: { buffer: this.#uniforms, offset: index * 256, size: 256 } },
    ];
    for (const [i, value] of command.bindings.entries()) {
      const { buffer, offset } = this.range(value);
      if (bytesOf(value) > this.#device.profile.bindingBytes) {
        throw new OutOfMemoryError(
          `[${command.label}] ${value.label} ${formatShape(value.type.shape)} takes ${bytesOf(value)} bytes; a kernel of this device can bind ${this.#device.profile.bindingBytes}. Use smaller batches or a smaller model`,
        );
      }
      // Vectorised kernels see arrays of vec4: bindings are whole vectors, and every allocation has room for that.
      entries.push({ binding: i + 1, resource: { buffer, offset, size: Math.ceil(bytesOf(value) / 16) * 16 } });
    }
    return this.#device.gpu.createBindGroup({
      label: command.label,
      layout: this.#device.pipelines.layout(command.shader.access).group,
      entries,
    });
  }

  #writeUniforms(): GPUBuffer {
    const { commands } = this.program;
    const words = new DataView(new ArrayBuffer(Math.max(1, commands.length) * 256));
    for (const [i, command] of commands.entries()) {
      if (command.kind === 'dispatch')
        writeFields(words, i * 256, command.shader.fields, this.#withStatus(command), command.label);
    }
    const buffer = this.#device.buffers.create(words.byteLength, 'weft uniforms', GPUBufferUsage.UNIFORM);
    this.#device.gpu.queue.writeBuffer(buffer, 0, words.buffer as ArrayBuffer);
    return buffer;
  }

  #withStatus(command: DispatchCommand): Readonly<Record<string, number>> {
    const uniforms = command.dispatch.uniforms ?? {};
    if (!command.bindings.includes(statusValue)) return uniforms;
    return { ...uniforms, statusCode: this.#device.statusCode(`${command.badData ?? `[${command.label}] bad data`}`) };
  }
}

function bytesOf(value: Value): number {
  return sizeOf(value.type.shape) * dtypes[value.type.dtype].bytes;
}

function writeFields(
  words: DataView,
  at: number,
  fields: SpecialisedShader['fields'],
  values: Readonly<Record<string, number>>,
  label: string,
): void {
  for (const [i, { name, type }] of fields.entries()) {
    const value = values[name];
    if (value === undefined)
      throw new UnsupportedError(`[plan] ${label}: the kernel's parameter ${name} was not given`);
    if (type === 'f32') words.setFloat32(at + i * 4, value, true);
    else if (type === 'u32') words.setUint32(at + i * 4, value, true);
    else words.setInt32(at + i * 4, value, true);
  }
}
