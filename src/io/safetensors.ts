import { type DType, dtypes, type HostArray } from '../core/dtype.ts';
import { DTypeError, FormatError, ShapeError } from '../core/errors.ts';
import { brief, briefly, declareOptions, expectKind, flag, object, shown, shownList } from '../core/options.ts';
import { type ByteSource, bytesOf, kindOf } from './bytes.ts';
import { decoders, encode, fileTypes } from './elements.ts';
import { depthOf, duplicateKey } from './json.ts';
import { namedTensors } from './named.ts';

/**
 * The safetensors format: eight bytes with the length of the header (little-endian), the header in JSON, then the data of
 * all tensors without gaps. https://huggingface.co/docs/safetensors, "Format".
 */

/** A tensor in host memory; `bool` is stored as u32, 0 or 1. */
export interface HostTensor {
  /** Type of the elements. */
  readonly dtype: DType;
  /** Extents, outermost first. */
  readonly shape: readonly number[];
  /** The elements in row-major order. */
  readonly data: HostArray;
}

/** What a file holds. The objects have no prototype, so that any name is just a name. */
export interface SafetensorsFile {
  /** The tensors by name. */
  readonly tensors: Readonly<Record<string, HostTensor>>;
  /** The texts under `__metadata__`, by name; none where the file has none. */
  readonly metadata: Readonly<Record<string, string>>;
  /** What changed on the way, by the tensor's name: F64 that was rounded to f32. */
  readonly notes: Readonly<Record<string, string>>;
  /** Why a tensor of the file is not among `tensors`, by its name: its type, or a value, is none that weft has. */
  readonly refused: Readonly<Record<string, string>>;
}

/** Whether a tensor that weft cannot hold makes `readSafetensors` or `load` fail. */
export interface ReadOptions {
  /** Throw where a tensor would be refused; default false: load the others. */
  strict?: boolean;
}

const readOptions = declareOptions<ReadOptions>({ strict: flag });

const op = { read: 'readSafetensors', write: 'writeSafetensors' } as const;
const maxHeaderBytes = 100_000_000;
const metadataKey = '__metadata__';

/**
 * Reads a safetensors file from bytes: a buffer, or any view of one. F16, BF16 and small integers are widened, I64 and U64
 * narrowed where no value changes, F64 rounded to f32 with a note; tensors that weft cannot hold (F8, an I64 beyond 2^31, …)
 * are left out, each with a reason in `refused`, or, if `strict`, are an error. Throws FormatError where the file breaks a
 * rule of the format, ValueError where it is no bytes.
 */
export function readSafetensors(file: ByteSource, options?: ReadOptions): SafetensorsFile {
  const { strict = false } = readOptions('readSafetensors', options);
  const { header, data } = splitHeader(bytesOf(op.read, file));
  const metadata = readMetadata(header[metadataKey]);
  const entries = Object.entries(header)
    .filter(([name]) => name !== metadataKey)
    .map(([name, entry]) => readEntry(name, entry));
  checkLayout(entries, data.byteLength);

  const tensors: Record<string, HostTensor> = Object.create(null);
  const notes: Record<string, string> = Object.create(null);
  const refused: Record<string, string> = Object.create(null);
  for (const entry of entries) {
    const { name } = entry;
    try {
      tensors[name] = decodeEntry(entry, data, (change) => {
        notes[name] = change;
      });
    } catch (error) {
      if (!(error instanceof Refusal) || strict) throw error;
      refused[name] = error.reason;
    }
  }
  return { tensors, metadata, notes, refused };
}

/** Says why one tensor can't be read; the rest of the file can. */
class Refusal extends FormatError {
  readonly reason: string;

  constructor(name: string, reason: string) {
    super(`[${op.read}] ${label(name)} ${reason}`);
    this.reason = reason;
  }
}

function decodeEntry(
  { name, type, shape, begin, end }: Entry,
  data: Uint8Array<ArrayBuffer>,
  note: (change: string) => void,
): HostTensor {
  const decoder = decoderOf(type);
  const refuse = (reason: string) => {
    throw new Refusal(name, reason);
  };
  if (!decoder)
    return refuse(`has dtype ${briefly(type)}: weft reads ${Object.keys(decoders).join(', ')}; convert it first`);
  // Copies the data: the alignment of the copy does not depend on the file's, nor its life on the file's memory.
  const own = data.slice(begin, end);
  const report = { refuse, note, fail: (problem: string) => fail(`${label(name)} ${problem}`) };
  return { dtype: decoder.dtype, shape, data: decoder.decode(own.buffer, report) };
}

const decoderOf = (type: string) => (Object.hasOwn(decoders, type) ? decoders[type] : undefined);

/**
 * Writes a safetensors file from tensors in host memory by name, in a Map or an object, with metadata where there is any;
 * bool takes a byte for each element. For models, and tensors on the device, there is `io.save`.
 * Throws ShapeError or DTypeError where the data of a tensor does not fit its shape or dtype, FormatError on a bad name,
 * ValueError where there are no tensors, or something else.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, HostTensor> | Readonly<Record<string, HostTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  expectKind(op.write, 'metadata', metadata, object);
  const header: Record<string, unknown> = Object.create(null);
  if (Object.keys(metadata).length > 0) header[metadataKey] = checkMetadata(metadata);
  // Sorts wide elements first, so that every tensor of the file is aligned.
  const entries = namedTensors(op.write, tensors, isHostTensor, whyNot).sort(
    ([, a], [, b]) => Number(a.dtype === 'bool') - Number(b.dtype === 'bool'),
  );
  const parts: Uint8Array[] = [];
  let end = 0;
  for (const [name, tensor] of entries) {
    if (name === metadataKey) throw new FormatError(`[${op.write}] ${metadataKey} is no name for a tensor`);
    checkText(label(name), name);
    checkTensor(name, tensor);
    const part = encode(tensor.dtype, tensor.data);
    header[name] = { dtype: fileTypes[tensor.dtype], shape: tensor.shape, data_offsets: [end, end + part.byteLength] };
    parts.push(part);
    end += part.byteLength;
  }

  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = Math.ceil((8 + text.byteLength) / 8) * 8;
  if (start - 8 > maxHeaderBytes)
    throw new FormatError(`[${op.write}] the header takes ${start - 8} bytes: at most ${maxHeaderBytes}`);
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

/** Whether a value is meant as a tensor in host memory; `writeSafetensors` checks that it is a valid one. */
export function isHostTensor(value: unknown): value is HostTensor {
  return isObject(value) && 'dtype' in value && Array.isArray(value.shape) && isObject(value.data);
}

function whyNot(value: unknown): string {
  return isObject(value) && typeof value.data === 'function'
    ? 'a Tensor, whose values are to be read first: `await io.save(…)` does that, or take its { dtype, shape, data: await x.data() }'
    : `${kindOf(value)}: expected { dtype, shape, data }`;
}

function splitHeader(bytes: Uint8Array<ArrayBuffer>): {
  header: Record<string, unknown>;
  data: Uint8Array<ArrayBuffer>;
} {
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
  if (twice !== null) fail(`the header has the name ${briefly(twice)} twice`);
  return { header, data: bytes.subarray(start) };
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail('the header is not valid UTF-8');
  }
}

/** The deepest nesting that is parsed: deeper than any header, and less deep than what makes `JSON.parse` take long. */
const deepest = 100;

function parseJson(text: string): Record<string, unknown> {
  if (depthOf(text) > deepest) fail(`the header is nested more than ${deepest} deep: this is no safetensors file`);
  try {
    return JSON.parse(text);
  } catch (error) {
    return fail(`the header is not valid JSON: ${brief((error as Error).message, 120)}`);
  }
}

function readMetadata(value: unknown): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  if (value === undefined) return metadata;
  if (!isObject(value)) fail(`${metadataKey} is not an object`);
  for (const [key, text] of Object.entries(value)) {
    metadata[key] = typeof text === 'string' ? text : fail(`${metadataKey}: ${briefly(key)} is not a string`);
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
  if (!isObject(value)) fail(`${label(name)} is described by ${shown(value)}, not by an object`);
  const { dtype: type, shape, data_offsets: offsets } = value;
  if (typeof type !== 'string') fail(`${label(name)} has dtype ${shown(type)}: expected a name such as "F32"`);
  if (!isSizes(shape)) fail(`${label(name)} has shape ${shownSizes(shape)}: expected a list of sizes below 2^53`);
  if (!isSizes(offsets) || offsets.length !== 2) {
    fail(`${label(name)} has data_offsets ${shownSizes(offsets)}: expected [begin, end], below 2^53`);
  }
  const [begin, end] = offsets as [number, number];
  if (end < begin) fail(`${label(name)} has data_offsets that go back: [${begin}, ${end}]`);
  const decoder = decoderOf(type);
  const expected = shape.reduce((a, b) => a * b, decoder?.bytes ?? 0);
  // Checks sizes of known types only: for others the file is believed.
  if (decoder && end - begin !== expected) {
    fail(`${label(name)} has ${end - begin} bytes, but ${type} ${shownList(shape)} takes ${expected}`);
  }
  return { name, type, shape, begin, end };
}

/** Checks that every byte of the data belongs to exactly one tensor. */
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
  const expected = typeof dtype === 'string' && Object.hasOwn(dtypes, dtype) ? dtypes[dtype].array : null;
  if (!expected) {
    throw new DTypeError(
      `[${op.write}] ${label(name)} has dtype ${shown(dtype)}: expected ${Object.keys(dtypes).join(', ')}`,
    );
  }
  if (!(data instanceof expected)) {
    throw new DTypeError(`[${op.write}] ${label(name)}: data of dtype ${dtype} is a ${expected.name}`);
  }
  if (!isSizes(shape) || shape.reduce((a, b) => a * b, 1) !== data.length) {
    throw new ShapeError(`[${op.write}] ${label(name)}: ${data.length} elements do not fit shape ${shownSizes(shape)}`);
  }
}

function checkMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') {
      throw new FormatError(`[${op.write}] metadata ${briefly(key)} is no string: use JSON.stringify for other values`);
    }
    for (const text of [key, value]) checkText(`metadata ${briefly(key)}`, text);
  }
  return metadata;
}

/** Refuses half characters: UTF-8 has none, and readers of other languages refuse what JSON makes of them. */
function checkText(what: string, text: string): void {
  if (!text.isWellFormed())
    throw new FormatError(
      `[${op.write}] ${what} has half a character, a lone surrogate: use toWellFormed(), or JSON.stringify for a value`,
    );
}

const label = (name: string) => `tensor ${briefly(name)}`;

/** A list with what is in it, anything else by its kind. */
const shownSizes = (value: unknown) => (Array.isArray(value) ? shownList(value) : shown(value));

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);

function fail(problem: string): never {
  throw new FormatError(`[${op.read}] ${problem}`);
}
