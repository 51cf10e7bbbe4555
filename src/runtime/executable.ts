import { rootOf, type Value } from '../compile/ir.ts';
import type { Program } from '../compile/program.ts';
import {
  type Command,
  type DispatchCommand,
  isStatus,
  readsStatus,
  setsStatus,
  withForms,
} from '../compile/schedule.ts';
import type { Runnable } from '../compile/trial.ts';
import { dtypes, hostArray, wordSize } from '../core/dtype.ts';
import { OutOfMemoryError, UnsupportedError } from '../core/errors.ts';
import { formatShape, sizeOf } from '../core/shape.ts';
import { byteSize } from '../core/types.ts';
import type { BufferRange } from '../device/buffers.ts';
import type { Device } from '../device/device.ts';
import { bufferUsage } from '../device/flags.ts';
import type { RecordedCommand } from '../device/recorder.ts';
import type { DeviceProfile } from '../kernels/kernel.ts';
import type { SpecialisedShader } from '../kernels/specialise.ts';

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
  readonly from: BufferRange;
  readonly to: BufferRange;
  readonly bytes: number;
}

/** A program on a device: pipelines, slabs, uniforms and bind groups, ready to be encoded again and again. */
export class Executable {
  /**
   * The program without the graph that it was built from: executables are kept for the next time, tensors of the graph are
   * not.
   */
  readonly program: Pick<Program, 'commands' | 'results' | 'updates' | 'memory'>;
  readonly #device: Device;
  /** The word that kernels set when they meet bad data. */
  readonly #status: GPUBuffer;
  /** The slabs that the bind groups were made for. */
  #slabs: readonly GPUBuffer[] = [];
  /** Memory of values that are in no slab. */
  readonly #own = new Map<Value, GPUBuffer>();
  readonly #uniforms: GPUBuffer;
  readonly #pipelines: readonly (GPUComputePipeline | null)[];
  /** Bind groups by command. */
  readonly #groups: GPUBindGroup[] = [];
  /** The places of the leaves, and the commands with these places in them, which are made anew when a leaf has moved. */
  #bound: readonly BufferRange[] = [];
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
    this.#pipelines = pipelines;
    this.#leafIndex = new Map(program.leaves.map(({ value }, i) => [value, i]));
    this.setsStatus = commands.some(setsStatus);
    this.usesStatus = this.setsStatus || commands.some(readsStatus);
    this.reserve();
    const { buffers } = device;
    const length = Math.max(1, commands.length) * 256;
    this.#uniforms = buffers.create(length, 'weft uniforms', bufferUsage.UNIFORM | bufferUsage.COPY_DST);
    for (const value of new Set([...memory.dedicated, ...constantsOf(program)]))
      this.#own.set(value, buffers.create(byteSize(value.type), `weft ${value.label}`));
  }

  /**
   * Compiles what is not compiled yet, all pipelines at once. Programs that run on made-up data get a `status` of their own.
   * Rejects with an OutOfMemoryError where the device has no memory for the program; nothing is kept of it then.
   */
  static async create(device: Device, given: Runnable, status = device.status.words): Promise<Executable> {
    checkBindings(given, device.profile);
    const { commands, pipelines } = await Executable.compile(device, given);
    const program = { ...given, commands };
    const executable = await device.buffers.secured(() => new Executable(device, program, pipelines, status));
    device.buffers.arena.join(program.memory.slabs);
    executable.#write();
    return executable;
  }

  /** The commands with the forms of their shaders that the device chooses, and their pipelines; null where one is a copy. */
  static async compile(
    device: Device,
    { commands: given }: Pick<Runnable, 'commands'>,
  ): Promise<{ commands: Command[]; pipelines: (GPUComputePipeline | null)[] }> {
    const commands = withForms(given, (shaders) => device.pipelines.choose(shaders));
    const pipelines = await Promise.all(
      commands.map((command) =>
        command.kind === 'dispatch' ? device.pipelines.get(command.shader, command.label) : null,
      ),
    );
    return { commands, pipelines };
  }

  /** Allocates the slabs, which others share, and does nothing else. */
  reserve(): void {
    this.#device.buffers.arena.reserve(this.program.memory.slabs);
  }

  /** Points the leaves at buffers. Only the bind groups of what has moved are made anew. */
  bind(leaves: readonly BufferRange[]): void {
    const { slabs } = this.program.memory;
    const { arena } = this.#device.buffers;
    const stay = slabs.every((_, i) => arena.at(i, slabs) === this.#slabs[i]);
    if (!stay) this.#slabs = slabs.map((_, i) => arena.at(i, slabs));
    const moved = new Set<number>();
    for (const [i, range] of leaves.entries()) if (!sameRange(range, this.#bound[i])) moved.add(i);
    if (this.#encoded && stay && moved.size === 0) return;
    // Marks the groups as invalid first: where this fails half-way, nothing may be encoded with them.
    const anew = this.#encoded === null || !stay;
    this.#encoded = null;
    this.#bound = leaves.map(({ buffer, offset }) => ({ buffer, offset }));
    const hasMoved = (value: Value) => moved.has(this.#leafIndex.get(rootOf(value)) ?? -1);
    const encoded: Encoded[] = [];
    for (const [i, command] of this.program.commands.entries()) {
      if (command.kind === 'copy') {
        const [from, to] = [this.range(command.from), this.range(command.to)];
        encoded.push({ kind: 'copy', from, to, bytes: byteSize(command.from.type) });
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
          bytes: byteSize(command.from.type),
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
  range(value: Value): BufferRange {
    if (isStatus(value)) return { buffer: this.#status, offset: 0 };
    let offset = 0;
    for (let at = value; at.parent; at = at.parent.value) offset += at.parent.offset * dtypes[at.type.dtype].bytes;
    const root = rootOf(value);
    const leaf = this.#leafIndex.get(root);
    if (leaf !== undefined) {
      const bound = this.#bound[leaf] as BufferRange;
      return { buffer: bound.buffer, offset: bound.offset + offset };
    }
    const own = this.#own.get(root);
    if (own) return { buffer: own, offset };
    const place = this.program.memory.places.get(root);
    if (!place) throw new UnsupportedError(`[plan] ${value.label} has no memory`);
    return { buffer: this.#slabs[place.slab] as GPUBuffer, offset: place.offset + offset };
  }

  destroy(): void {
    const { buffers } = this.#device;
    buffers.arena.leave(this.program.memory.slabs);
    buffers.destroy(this.#uniforms);
    for (const buffer of this.#own.values()) buffers.destroy(buffer);
  }

  /** Writes what is the same in every run: uniforms, and repeated values that kernels read from memory. */
  #write(): void {
    const { queue } = this.#device.gpu;
    const { commands } = this.program;
    const words = new DataView(new ArrayBuffer(Math.max(1, commands.length) * 256));
    for (const [i, command] of commands.entries()) {
      if (command.kind === 'dispatch')
        writeFields(words, i * 256, command.shader.fields, this.#withStatus(command), command.label);
    }
    queue.writeBuffer(this.#uniforms, 0, words.buffer as ArrayBuffer);
    for (const [{ type, constant }, buffer] of this.#own) {
      if (constant !== undefined)
        queue.writeBuffer(buffer, 0, hostArray(type.dtype, sizeOf(type.shape)).fill(constant));
    }
  }

  #bindGroup(command: DispatchCommand, index: number): GPUBindGroup {
    return this.#device.gpu.createBindGroup({
      label: command.label,
      layout: this.#device.pipelines.layout(command.shader.access).group,
      entries: this.#entries(command, index).map((resource, binding) => ({ binding, resource })),
    });
  }

  /** The buffers that the bindings of a command refer to, in their order. */
  #entries(command: DispatchCommand, index: number): Required<GPUBufferBinding>[] {
    const entries = [{ buffer: this.#uniforms, offset: index * 256, size: 256 }];
    for (const value of command.bindings) {
      const { buffer, offset } = this.range(value);
      // Vectorised kernels see arrays of vec4: bindings are whole vectors, and every allocation has room for that.
      entries.push({ buffer, offset, size: Math.ceil(byteSize(value.type) / 16) * 16 });
    }
    return entries;
  }

  #withStatus(command: DispatchCommand): Readonly<Record<string, number>> {
    const uniforms = command.dispatch.uniforms ?? {};
    if (!setsStatus(command)) return uniforms;
    const label = command.badData ?? `[${command.label}] bad data`;
    return { ...uniforms, statusCode: this.#device.status.codeOf(label) };
  }
}

/** Records dispatches. This is the hot path of a training loop: nothing is looked up, nothing is set twice. */
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

/** Throws where a kernel would have to bind more than the device can, before any memory is allocated for it. */
function checkBindings({ commands }: Pick<Runnable, 'commands'>, { bindingBytes }: DeviceProfile): void {
  for (const command of commands) {
    if (command.kind === 'copy') continue;
    const value = command.bindings.find((each) => byteSize(each.type) > bindingBytes);
    if (!value) continue;
    throw new OutOfMemoryError(
      `[${command.label}] ${value.label} ${formatShape(value.type.shape)} takes ${byteSize(value.type)} bytes; a kernel of this device can bind ${bindingBytes}. Use smaller batches or a smaller model`,
    );
  }
}

/** Repeated values that commands read, or that are results. */
function constantsOf({ commands, results, updates }: Pick<Program, 'commands' | 'results' | 'updates'>): Value[] {
  const used = commands.flatMap((command) => (command.kind === 'copy' ? command.from : command.bindings));
  return [...used, ...results, ...updates.map(({ value }) => value)]
    .map(rootOf)
    .filter(({ constant }) => constant !== undefined);
}

function sameRange(a: BufferRange, b: BufferRange | undefined): boolean {
  return a.buffer === b?.buffer && a.offset === b.offset;
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
    if (type === 'f32') words.setFloat32(at + i * wordSize, value, true);
    else if (type === 'u32') words.setUint32(at + i * wordSize, value, true);
    else words.setInt32(at + i * wordSize, value, true);
  }
}
