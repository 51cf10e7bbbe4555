import { UnsupportedError, ValueError } from '../core/errors.ts';
import { brief } from '../core/options.ts';
import { type ByteSource, bytesOf, isBytes, kindOf } from './bytes.ts';
import { readPath, writePath } from './files.ts';

/** A file that a page may write: what `showSaveFilePicker()` and the origin's private file system give. */
type PageFile = Pick<FileSystemFileHandle, 'createWritable' | 'getFile'>;

/** A file that Deno has opened: the part of Deno.FsFile that is used. */
interface DenoFile {
  /** Tells the size of the file in bytes. */
  stat(): Promise<{ readonly size: number }>;
  /** Cuts the file, or fills it with zeros, to this many bytes. */
  truncate(length: number): Promise<void>;
  /** Moves to `offset` bytes from the start (`whence` 0), from here or from the end. */
  seek(offset: number, whence: number): Promise<number>;
  /** Reads what `into` has room for, or less; null at the end. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes, and tells how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/** A file that Node has opened: the part of FileHandle that is used. */
interface NodeFile {
  /** The number under which the system knows the file. */
  readonly fd: number;
  /** Tells the size of the file in bytes. */
  stat(): Promise<{ readonly size: number }>;
  /** Cuts the file, or fills it with zeros, to this many bytes. */
  truncate(length: number): Promise<void>;
  /** Reads up to `length` bytes from `position` of the file to `offset` of `into`, and tells how many. */
  read(into: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
  /** Writes up to `length` bytes from `offset` of `bytes` to `position` of the file, and tells how many. */
  write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>;
}

/** Where bytes can be put: a path or `file:` URL (Deno and Node), or the handle of a file. */
export type Target = string | URL | PageFile | DenoFile | NodeFile;

/** Where bytes can come from: any target, bytes, or what has an `arrayBuffer()` (a Blob or File, the Response of `fetch`). */
export type Source =
  | Target
  | ByteSource
  | {
      /** All the bytes. */
      arrayBuffer(): Promise<ArrayBuffer>;
    };

/**
 * Puts `bytes` in place of what the target held. A path, or a page's handle, has the old bytes until it has all of the new
 * ones; a file that Deno or Node has opened is written over.
 */
export async function writeTo(op: string, target: unknown, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  if (isPath(target)) await writePath(op, pathOf(op, target), bytes);
  else if (isPageFile(target)) await writePageFile(op, target, bytes);
  else if (isOpenFile(target)) await writeOpenFile(target, bytes);
  else
    throw new ValueError(
      `[${op}] can't write to ${kindOf(target)}: give a path, a file: URL or the handle of a file, or nothing to get the bytes`,
    );
}

/** All bytes of the source. */
export async function readFrom(op: string, source: unknown): Promise<Uint8Array<ArrayBuffer>> {
  if (isBytes(source)) return bytesOf(op, source);
  if (isPath(source)) return readPath(op, pathOf(op, source));
  if (isPageFile(source)) return bytesOf(op, await (await source.getFile()).arrayBuffer());
  if (isOpenFile(source)) return readOpenFile(source);
  if (has(source, 'arrayBuffer')) {
    const { ok, status, url } = source as Partial<Response>;
    if (ok === false)
      throw new ValueError(`[${op}] ${brief(url || 'the request', 200)} was answered with status ${status}`);
    return bytesOf(op, await (source as Blob).arrayBuffer());
  }
  throw new ValueError(
    `[${op}] can't read from ${kindOf(source)}: give a path, a file: URL, the handle of a file, bytes, a Blob, or the Response of fetch`,
  );
}

const isPath = (place: unknown): place is string | URL => typeof place === 'string' || place instanceof URL;

/** The path of a `file:` URL; other URLs are no files. */
function pathOf(op: string, place: string | URL): string {
  if (typeof place === 'string' && !/^(file|https?|blob|data):/.test(place)) return place;
  const url = new URL(place);
  if (url.protocol !== 'file:')
    throw new UnsupportedError(`[${op}] ${brief(url.href, 200)} is no file: \`io.load(await fetch(url))\` reads it`);
  const path = decodeURIComponent(url.pathname);
  // Removes the slash of file:///C:/models, as Windows has it.
  return path.replace(/^\/(?=[A-Za-z]:\/)/, '');
}

const has = <Name extends string>(value: unknown, name: Name): value is Record<Name, unknown> =>
  typeof value === 'object' && value !== null && name in value;

const isPageFile = (place: unknown): place is PageFile => has(place, 'getFile');
const isOpenFile = (place: unknown): place is DenoFile | NodeFile =>
  has(place, 'truncate') && has(place, 'stat') && (has(place, 'fd') || has(place, 'seek'));
const isNodeFile = (file: DenoFile | NodeFile): file is NodeFile => has(file, 'fd');

async function writePageFile(op: string, file: PageFile, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  if (!file.createWritable)
    throw new UnsupportedError(
      `[${op}] this browser's file handles can't be written here: offer the bytes as a download, URL.createObjectURL(new Blob([bytes]))`,
    );
  const stream = await file.createWritable();
  try {
    await stream.write(bytes);
  } catch (error) {
    await stream.abort();
    throw error;
  }
  await stream.close();
}

async function writeOpenFile(file: DenoFile | NodeFile, bytes: Uint8Array): Promise<void> {
  await file.truncate(0);
  if (!isNodeFile(file)) await file.seek(0, 0);
  for (let done = 0; done < bytes.length; ) {
    done += isNodeFile(file)
      ? (await file.write(bytes, done, bytes.length - done, done)).bytesWritten
      : await file.write(bytes.subarray(done));
  }
}

async function readOpenFile(file: DenoFile | NodeFile): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array((await file.stat()).size);
  if (!isNodeFile(file)) await file.seek(0, 0);
  for (let done = 0; done < bytes.length; ) {
    const read = isNodeFile(file)
      ? (await file.read(bytes, done, bytes.length - done, done)).bytesRead
      : await file.read(bytes.subarray(done));
    // Stops at the end of a file that has become shorter meanwhile.
    if (!read) return bytes.slice(0, done);
    done += read;
  }
  return bytes;
}
