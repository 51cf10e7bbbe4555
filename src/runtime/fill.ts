import { HostValues, wordSize } from '../core/dtype.ts';
import type { Storage } from '../device/buffers.ts';
import type { Device } from '../device/device.ts';
import { bufferUsage } from '../device/flags.ts';
import type { Draw, Part, Source } from '../graph/source.ts';
import { writeFields } from './executable.ts';

/** Memory for a tensor whose values come from a source. */
export interface Berth {
  readonly storage: Storage;
  /** The settings of the kernels that draw values in place; null where nothing is drawn. */
  readonly uniforms: GPUBuffer | null;
}

/** Allocates a berth for the values of `source`, which take `bytes`. */
export function berthFor({ buffers }: Device, source: Source, bytes: number, label: string): Berth {
  const pieces = source instanceof HostValues ? 0 : piecesIn(source.parts).length;
  const uniforms =
    pieces > 0 ? buffers.create(pieces * 256, 'weft draws', bufferUsage.UNIFORM | bufferUsage.COPY_DST) : null;
  return { storage: buffers.allocate(bytes, label), uniforms };
}

/** Gives back a berth that nothing was written to. */
export function leaveBerth({ buffers }: Device, { storage, uniforms }: Berth): void {
  storage.release();
  if (uniforms) buffers.destroy(uniforms);
}

/** Writes first values where they are to lie. */
export function fillBerth(device: Device, { storage, uniforms }: Berth, source: Source): void {
  const { buffer, offset } = storage;
  if (source instanceof HostValues) {
    device.gpu.queue.writeBuffer(buffer, offset, source.array);
    return;
  }
  const { parts, length } = source;
  // Clears the gaps: the memory may have held another tensor.
  for (const [from, to] of gaps(parts, length))
    device.gpu.queue.writeBuffer(buffer, offset + wordSize * from, new Float32Array(to - from));
  if (uniforms) drawParts(device, storage, uniforms, parts);
  for (const { offset: at, values } of parts)
    if (values instanceof HostValues) device.gpu.queue.writeBuffer(buffer, offset + wordSize * at, values.array);
}

const lengthOf = ({ values }: Part) => (values instanceof HostValues ? values.array.length : values.length);

/** The ranges that no part covers. */
function gaps(parts: readonly Part[], length: number): [from: number, to: number][] {
  const found: [number, number][] = [];
  let end = 0;
  for (const part of parts) {
    if (part.offset > end) found.push([end, part.offset]);
    end = Math.max(end, part.offset + lengthOf(part));
  }
  if (end < length) found.push([end, length]);
  return found;
}

/** Elements of one dispatch; a multiple of the alignment of bindings. */
const most = 2 ** 24;

/** Draws all parts that are drawn in one submit: a dispatch for each, or several for what is large. */
function drawParts(
  { gpu, pipelines, buffers }: Device,
  { buffer, offset }: Storage,
  uniforms: GPUBuffer,
  parts: readonly Part[],
): void {
  const pieces = piecesIn(parts);
  const words = new DataView(new ArrayBuffer(pieces.length * 256));
  const encoder = gpu.createCommandEncoder({ label: 'weft draws' });
  const pass = encoder.beginComputePass({ label: 'weft draws' });
  for (const [i, { at, count, dispatch, shader }] of pieces.entries()) {
    writeFields(words, i * 256, shader.fields, dispatch.uniforms ?? {}, dispatch.kernel);
    pass.setPipeline(pipelines.getNow(shader, dispatch.kernel));
    const entries = [
      { buffer: uniforms, offset: i * 256, size: 256 },
      { buffer, offset: offset + at, size: Math.ceil(count / 4) * 4 * wordSize },
    ];
    pass.setBindGroup(
      0,
      gpu.createBindGroup({
        layout: pipelines.layout(shader.access).group,
        entries: entries.map((resource, binding) => ({ binding, resource })),
      }),
    );
    pass.dispatchWorkgroups(...dispatch.workgroups);
  }
  pass.end();
  gpu.queue.writeBuffer(uniforms, 0, words.buffer as ArrayBuffer);
  gpu.queue.submit([encoder.finish()]);
  buffers.destroy(uniforms);
}

/** The parts that dispatches draw, and the byte at which each begins. */
const piecesIn = (parts: readonly Part[]) =>
  parts.flatMap(({ offset, values }) => (values instanceof HostValues ? [] : piecesOf(values, wordSize * offset)));

function piecesOf({ kind, key, settings, length, fill }: Draw, at: number) {
  return Array.from({ length: Math.ceil(length / most) }, (_, i) => {
    const count = Math.min(most, length - i * most);
    return { at: at + wordSize * i * most, count, ...fill({ kind, key, settings, first: (i * most) / 4, count }) };
  });
}
