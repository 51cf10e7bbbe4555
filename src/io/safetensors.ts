import { DTypeError, FormatError, ShapeError } from '../errors.ts';
import { type DType, dtypes, type HostArray } from '../graph/dtype.ts';
import { decoders, encode, fileTypes } from './elements.ts';
import { duplicateKey } from './json.ts';

/**
 * The safetensors format: eight bytes with the length of the header (little-endian), the header in JSON, then the data of
 * all tensors without gaps. https://huggingface.co/docs/safetensors, "Format".
 */

/** A tensor in host memory; `bool` is stored as u32, 0 or 1. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

/** What a file holds. The objects have no prototype, so that any name is just a name. */
export interface SafetensorsFile {
  readonly tensors: Readonly<Record<string, HostTensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

const maxHeaderBytes = 100_000_000;
const metadataKey = '__metadata__';

/**
 * Reads a safetensors file. F16, BF16 and small integers are widened; F64, I64 and U64 are narrowed where no value changes.
 * Throws FormatError where the file breaks a rule of the format or holds what weft cannot.
 */
export function readSafetensors(file: Uint8Array | ArrayBuffer): SafetensorsFile {
  const bytes = file instanceof Uint8Array ? file : new Uint8Array(file);
  const { header, data } = splitHeader(bytes);
  const metadata = readMetadata(header[metadataKey]);
  const entries = Object.entries(header)
    .filter(([name]) => name !== metadataKey)
    .map(([name, entry]) => readEntry(name, entry));
  checkLayout(entries, data.byteLength);

  const tensors: Record<string, HostTensor> = Object.create(null);
  for (const { name, type, shape, begin, end } of entries) {
    const { dtype, decode } = decoders[type] as (typeof decoders)[string];
    // A copy: its alignment does not depend on the file's, nor its life on the file's memory.
    const own = data.slice(begin, end);
    tensors[name] = { dtype, shape, data: decode(own.buffer, (problem) => fail(`${label(name)} ${problem}`)) };
  }
  return { tensors, metadata };
}

/**
 * Writes a safetensors file, with metadata where there is any; bool takes a byte for each element.
 * Throws ShapeError or DTypeError where the data of a tensor does not fit its shape or dtype, FormatError on a bad name.
 */
export function writeSafetensors(
  tensors: Readonly<Record<string, HostTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) header[metadataKey] = checkMetadata(metadata);
  // Wide elements first, so that every tensor of the file is aligned.
  const entries = Object.entries(tensors).sort(
    ([, a], [, b]) => Number(a.dtype === 'bool') - Number(b.dtype === 'bool'),
  );
  const parts: Uint8Array[] = [];
  let end = 0;
  for (const [name, tensor] of entries) {
    if (name === metadataKey) throw new FormatError(`[writeSafetensors] ${metadataKey} is no name for a tensor`);
    checkTensor(name, tensor);
    const part = encode(tensor.dtype, tensor.data);
    header[name] = { dtype: fileTypes[tensor.dtype], shape: tensor.shape, data_offsets: [end, end + part.byteLength] };
    parts.push(part);
    end += part.byteLength;
  }

  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = Math.ceil((8 + text.byteLength) / 8) * 8;
  if (start - 8 > maxHeaderBytes)
    throw new FormatError(`[writeSafetensors] the header takes ${start - 8} bytes: at most ${maxHeaderBytes}`);
  const file = new Uint8Array(start + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(start - 8), true);
  file.set(text, 8);
  file.fill(0x20, 8 + text.byteLength, start);
  let at = start;
  for (const part of parts) {
    file.set(part, at);
    at += part.byteLength;
  }
  return file;
}

function splitHeader(bytes: Uint8Array): { header: Record<string, unknown>; data: Uint8Array } {
  if (bytes.byteLength < 8)
    fail(`the file has ${bytes.byteLength} bytes: a safetensors file begins with 8 bytes of header length`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(maxHeaderBytes)) {
    fail(`the header would take ${length} bytes, more than the ${maxHeaderBytes} allowed: this is no safetensors file`);
  }
  const start = 8 + Number(length);
  if (start > bytes.byteLength) {
    fail(`the file is cut short: its header takes ${length} bytes, and ${bytes.byteLength - 8} are there`);
  }
  if (bytes[8] !== 0x7b || length === 0n) fail('the header does not begin with {: this is no safetensors file');
  const text = decodeText(bytes.subarray(8, start));
  const header = parseJson(text);
  const twice = duplicateKey(text);
  if (twice !== null) fail(`the header has the name ${JSON.stringify(twice)} twice`);
  return { header, data: bytes.subarray(start) };
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail('the header is not valid UTF-8');
  }
}

function parseJson(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text);
  } catch (error) {
    return fail(`the header is not valid JSON: ${(error as Error).message}`);
  }
}

function readMetadata(value: unknown): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  if (value === undefined) return metadata;
  if (!isObject(value)) fail(`${metadataKey} is not an object`);
  for (const [key, text] of Object.entries(value)) {
    metadata[key] = typeof text === 'string' ? text : fail(`${metadataKey}: ${JSON.stringify(key)} is not a string`);
  }
  return metadata;
}

interface Entry {
  readonly name: string;
  readonly type: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

function readEntry(name: string, value: unknown): Entry {
  if (!isObject(value)) fail(`${label(name)} is described by ${JSON.stringify(value)}, not by an object`);
  const { dtype: type, shape, data_offsets: offsets } = value;
  if (typeof type !== 'string' || !Object.hasOwn(decoders, type)) {
    fail(
      `${label(name)} has dtype ${JSON.stringify(type)}: weft reads ${Object.keys(decoders).join(', ')}; convert it first`,
    );
  }
  if (!isSizes(shape)) fail(`${label(name)} has shape ${JSON.stringify(shape)}: expected a list of sizes below 2^53`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    fail(`${label(name)} has data_offsets ${JSON.stringify(offsets)}: expected [begin, end], below 2^53`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = shape.reduce((a, b) => a * b, (decoders[type] as (typeof decoders)[string]).bytes);
  if (end - begin !== expected) {
    fail(`${label(name)} has ${end - begin} bytes, but ${type} [${shape.join(', ')}] takes ${expected}`);
  }
  return { name, type, shape, begin, end };
}

/** Every byte of the data belongs to one tensor. */
function checkLayout(entries: readonly Entry[], dataBytes: number): void {
  let end = 0;
  for (const entry of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (entry.begin > end)
      fail(`bytes ${end} to ${entry.begin} of the data, before ${label(entry.name)}, belong to no tensor`);
    if (entry.begin < end)
      fail(`${label(entry.name)} begins at byte ${entry.begin}, within another tensor that ends at ${end}`);
    end = entry.end;
  }
  if (end > dataBytes) fail(`the file is cut short: its tensors take ${end} bytes, and ${dataBytes} are there`);
  if (end < dataBytes) fail(`${dataBytes - end} bytes at the end of the file belong to no tensor`);
}

function checkTensor(name: string, { dtype, shape, data }: HostTensor): void {
  const expected = dtypes[dtype]?.array;
  if (!expected) {
    throw new DTypeError(
      `[writeSafetensors] ${label(name)} has dtype ${dtype}: expected ${Object.keys(dtypes).join(', ')}`,
    );
  }
  if (!(data instanceof expected)) {
    throw new DTypeError(`[writeSafetensors] ${label(name)}: data of dtype ${dtype} is a ${expected.name}`);
  }
  if (!isSizes(shape) || shape.reduce((a, b) => a * b, 1) !== data.length) {
    throw new ShapeError(
      `[writeSafetensors] ${label(name)}: ${data.length} elements do not fit shape [${shape.join(', ')}]`,
    );
  }
}

function checkMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') {
      throw new FormatError(
        `[writeSafetensors] metadata ${JSON.stringify(key)} is no string: use JSON.stringify for other values`,
      );
    }
  }
  return metadata;
}

const label = (name: string) => `tensor ${JSON.stringify(name)}`;

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);

function fail(problem: string): never {
  throw new FormatError(`[readSafetensors] ${problem}`);
}
