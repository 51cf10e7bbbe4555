import { rootOf, type Value } from '../compile/ir.ts';
import type { Program } from '../compile/program.ts';
import { type DispatchCommand, readsStatus, setsStatus, statusValue } from '../compile/schedule.ts';
import type { Runnable } from '../compile/trial.ts';
import { OutOfMemoryError, UnsupportedError } from '../errors.ts';
import { dtypes, hostArray } from '../graph/dtype.ts';
import { formatShape, sizeOf } from '../graph/shape.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import type { SpecialisedShader } from '../kernels/specialise.ts';
import type { Device } from './device.ts';
import { bufferUsage } from './flags.ts';
import type { RecordedCommand } from './recorder.ts';

/** A range of a buffer. */
export interface Range {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/** A copy, or dispatches that share a pass, with everything looked up that encoding needs. */
type Encoded = EncodedPass | EncodedCopy;

interface EncodedPass {
  readonly kind: 'pass';
  readonly dispatches: EncodedDispatch[];
}

interface EncodedDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

interface EncodedCopy {
  readonly kind: 'copy';
  readonly from: Range;
  readonly to: Range;
  readonly bytes: number;
}

/** A program on a device: pipelines, slabs, uniforms and bind groups, ready to be encoded again and again. */
export class Executable {
  /** Without the graph that it was built from: an executable is kept for the next time, the graph's tensors are not. */
  readonly program: Pick<Program, 'commands' | 'results' | 'updates' | 'memory'>;
  readonly #device: Device;
  /** The word that kernels set when they meet bad data. */
  readonly #status: GPUBuffer;
  readonly #slabs: readonly GPUBuffer[];
  readonly #dedicated: ReadonlyMap<Value, GPUBuffer>;
  readonly #constants = new Map<Value, GPUBuffer>();
  readonly #uniforms: GPUBuffer;
  readonly #pipelines: readonly (GPUComputePipeline | null)[];
  /** Bind groups by command. */
  readonly #groups: GPUBindGroup[] = [];
  /** Where the leaves lie, and the commands with these places in them: made anew when a leaf has moved. */
  #bound: readonly Range[] = [];
  #encoded: readonly Encoded[] | null = null;
  readonly #leafIndex: ReadonlyMap<Value, number>;
  /** Whether a kernel sets the status word, or any looks at it. */
  readonly setsStatus: boolean;
  readonly usesStatus: boolean;

  private constructor(
    device: Device,
    program: Runnable,
    pipelines: readonly (GPUComputePipeline | null)[],
    status: GPUBuffer,
  ) {
    this.#device = device;
    this.#status = status;
    const { commands, results, updates, memory } = program;
    this.program = { commands, results, updates, memory };
    this.#slabs = device.buffers.arena(program.memory.slabs);
    this.#dedicated = new Map(
      program.memory.dedicated.map((value) => [value, device.buffers.create(bytesOf(value), `weft ${value.label}`)]),
    );
    this.#pipelines = pipelines;
    this.#uniforms = this.#writeUniforms();
    this.#leafIndex = new Map(program.leaves.map(({ value }, i) => [value, i]));
    this.setsStatus = commands.some(setsStatus);
    this.usesStatus = this.setsStatus || commands.some(readsStatus);
  }

  /** Compiles what is not compiled yet, all pipelines at once. Programs that run on made-up data get a `status` of their own. */
  static async create(device: Device, program: Runnable, status = device.status.word): Promise<Executable> {
    checkBindings(program, device.profile);
    const pipelines = await Executable.compile(device, program);
    return new Executable(device, program, pipelines, status);
  }

  /** The pipelines of the commands; null where one is a copy. */
  static compile(device: Device, { commands }: Pick<Runnable, 'commands'>): Promise<(GPUComputePipeline | null)[]> {
    return Promise.all(
      commands.map((command) =>
        command.kind === 'dispatch' ? device.pipelines.get(command.shader, command.label) : null,
      ),
    );
  }

  /** Points the leaves at buffers. Only the bind groups of leaves that have moved are made anew. */
  bind(leaves: readonly Range[]): void {
    const moved = new Set<number>();
    for (const [i, range] of leaves.entries()) if (!sameRange(range, this.#bound[i])) moved.add(i);
    if (this.#encoded && moved.size === 0) return;
    // Where this fails half-way, nothing is to be encoded, and no group to be trusted.
    const anew = this.#encoded === null;
    this.#encoded = null;
    this.#bound = leaves.map(({ buffer, offset }) => ({ buffer, offset }));
    const hasMoved = (value: Value) => moved.has(this.#leafIndex.get(rootOf(value)) ?? -1);
    const encoded: Encoded[] = [];
    for (const [i, command] of this.program.commands.entries()) {
      if (command.kind === 'copy') {
        const [from, to] = [this.range(command.from), this.range(command.to)];
        encoded.push({ kind: 'copy', from, to, bytes: bytesOf(command.from) });
        continue;
      }
      if (anew || command.bindings.some(hasMoved)) this.#groups[i] = this.#bindGroup(command, i);
      const [x, y, z] = command.dispatch.workgroups;
      const [pipeline, group] = [this.#pipelines[i] as GPUComputePipeline, this.#groups[i] as GPUBindGroup];
      const last = encoded.at(-1);
      if (last?.kind === 'pass') last.dispatches.push({ pipeline, group, x, y, z });
      else encoded.push({ kind: 'pass', dispatches: [{ pipeline, group, x, y, z }] });
    }
    this.#encoded = encoded;
  }

  /** Encodes the whole program. Consecutive dispatches share a pass. */
  encode(encoder: GPUCommandEncoder): void {
    const { recorder } = this.#device;
    if (recorder) {
      for (const command of this.#recorded()) recorder.encode(command, encoder);
      return;
    }
    for (const each of this.#encoded ?? []) {
      if (each.kind === 'pass') {
        const pass = encoder.beginComputePass({ label: 'weft' });
        recordDispatches(pass, each.dispatches);
        pass.end();
      } else {
        const { from, to, bytes } = each;
        encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, bytes);
      }
    }
  }

  /** Puts all dispatches in a pass, for timing them. Throws where there are copies between them. */
  record(pass: GPUComputePassEncoder): void {
    for (const each of this.#encoded ?? []) {
      if (each.kind === 'copy') throw new UnsupportedError('[plan] a copy between kernels does not fit in a pass');
      recordDispatches(pass, each.dispatches);
    }
  }

  /** The commands one by one, with what a recorder needs to time them. */
  #recorded(): RecordedCommand[] {
    return this.program.commands.map((command, i): RecordedCommand => {
      if (command.kind === 'copy')
        return {
          kind: 'copy',
          from: this.range(command.from),
          to: this.range(command.to),
          bytes: bytesOf(command.from),
        };
      const { label, dispatch, fused, shader } = command;
      return {
        kind: 'dispatch',
        label,
        kernel: dispatch.kernel,
        fused,
        workgroups: dispatch.workgroups,
        access: shader.access,
        pipeline: this.#pipelines[i] as GPUComputePipeline,
        group: this.#groups[i] as GPUBindGroup,
        layout: this.#device.pipelines.layout(shader.access).group,
        bindings: this.#entries(command, i),
      };
    });
  }

  /** Where a value lies. */
  range(value: Value): Range {
    if (value === statusValue) return { buffer: this.#status, offset: 0 };
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
    return this.#device.gpu.createBindGroup({
      label: command.label,
      layout: this.#device.pipelines.layout(command.shader.access).group,
      entries: this.#entries(command, index).map((resource, binding) => ({ binding, resource })),
    });
  }

  /** What the bindings of a command refer to, in their order. */
  #entries(command: DispatchCommand, index: number): Required<GPUBufferBinding>[] {
    const entries = [{ buffer: this.#uniforms, offset: index * 256, size: 256 }];
    for (const value of command.bindings) {
      const { buffer, offset } = this.range(value);
      // Vectorised kernels see arrays of vec4: bindings are whole vectors, and every allocation has room for that.
      entries.push({ buffer, offset, size: Math.ceil(bytesOf(value) / 16) * 16 });
    }
    return entries;
  }

  #writeUniforms(): GPUBuffer {
    const { commands } = this.program;
    const words = new DataView(new ArrayBuffer(Math.max(1, commands.length) * 256));
    for (const [i, command] of commands.entries()) {
      if (command.kind === 'dispatch')
        writeFields(words, i * 256, command.shader.fields, this.#withStatus(command), command.label);
    }
    const buffer = this.#device.buffers.create(words.byteLength, 'weft uniforms', bufferUsage.UNIFORM);
    this.#device.gpu.queue.writeBuffer(buffer, 0, words.buffer as ArrayBuffer);
    return buffer;
  }

  #withStatus(command: DispatchCommand): Readonly<Record<string, number>> {
    const uniforms = command.dispatch.uniforms ?? {};
    if (!setsStatus(command)) return uniforms;
    const label = command.badData ?? `[${command.label}] bad data`;
    return { ...uniforms, statusCode: this.#device.status.codeOf(label) };
  }
}

/** The hot path of a training loop: nothing is looked up, nothing is set twice. */
function recordDispatches(pass: GPUComputePassEncoder, dispatches: readonly EncodedDispatch[]): void {
  let current: GPUComputePipeline | null = null;
  for (let i = 0; i < dispatches.length; i++) {
    const { pipeline, group, x, y, z } = dispatches[i] as EncodedDispatch;
    if (pipeline !== current) pass.setPipeline(pipeline);
    current = pipeline;
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(x, y, z);
  }
}

/** Throws where a kernel would have to bind more than the device can: before there is memory for it. */
function checkBindings({ commands }: Pick<Runnable, 'commands'>, { bindingBytes }: DeviceProfile): void {
  for (const command of commands) {
    if (command.kind === 'copy') continue;
    const value = command.bindings.find((each) => bytesOf(each) > bindingBytes);
    if (!value) continue;
    throw new OutOfMemoryError(
      `[${command.label}] ${value.label} ${formatShape(value.type.shape)} takes ${bytesOf(value)} bytes; a kernel of this device can bind ${bindingBytes}. Use smaller batches or a smaller model`,
    );
  }
}

function sameRange(a: Range, b: Range | undefined): boolean {
  return a.buffer === b?.buffer && a.offset === b.offset;
}

function bytesOf(value: Value): number {
  return sizeOf(value.type.shape) * dtypes[value.type.dtype].bytes;
}

/** Writes the values of a uniform block's fields into its place. */
export function writeFields(
  words: DataView,
  at: number,
  fields: SpecialisedShader['fields'],
  values: Readonly<Record<string, number>>,
  label: string,
): void {
  for (const [i, { name, type, value: own }] of fields.entries()) {
    const value = own ?? values[name];
    if (value === undefined)
      throw new UnsupportedError(`[plan] ${label}: the kernel's parameter ${name} was not given`);
    if (type === 'f32') words.setFloat32(at + i * 4, value, true);
    else if (type === 'u32') words.setUint32(at + i * 4, value, true);
    else words.setInt32(at + i * 4, value, true);
  }
}
