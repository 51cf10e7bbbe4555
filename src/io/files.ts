import { UnsupportedError } from '../errors.ts';
import { type ByteSource, bytesOf } from './bytes.ts';

/** The part of Node's `fs/promises` that weft uses; Deno has it too. */
interface FileSystem {
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  writeFile(path: string, bytes: Uint8Array, options: { readonly flush: boolean }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly force: boolean }): Promise<void>;
  mkdir(path: string, options: { readonly recursive: boolean }): Promise<unknown>;
}

/**
 * Saves `bytes`, a buffer or any view of one, as a file, in Deno and Node. They go to a new file that then takes the old
 * one's place, so that a crash leaves either whole. Throws UnsupportedError in a browser.
 */
export async function saveFile(path: string, bytes: ByteSource): Promise<void> {
  await writePath('io.saveFile', path, bytesOf('io.saveFile', bytes));
}

/** Loads a file, in Deno and Node. Throws UnsupportedError in a browser. */
export async function loadFile(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return readPath('io.loadFile', path);
}

/** `saveFile` on behalf of `op`. */
export async function writePath(op: string, path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const files = fileSystem(
    op,
    'offer the bytes as a download, URL.createObjectURL(new Blob([bytes])), or give io.save a file handle of showSaveFilePicker()',
  );
  const fresh = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await files.writeFile(fresh, bytes, { flush: true });
    await files.rename(fresh, path);
  } catch (error) {
    await files.rm(fresh, { force: true });
    throw error;
  }
}

/** `loadFile` on behalf of `op`. */
export async function readPath(op: string, path: string): Promise<Uint8Array<ArrayBuffer>> {
  const files = fileSystem(
    op,
    'use `io.load(await fetch(url))`, or give io.load the file that an <input type="file"> has',
  );
  return bytesOf(op, await files.readFile(path));
}

/** Makes a folder, and those that it lies in, where they are not there yet. Throws UnsupportedError in a browser. */
export async function makeFolder(path: string): Promise<void> {
  await fileSystem('io.makeFolder', 'there are none').mkdir(path, { recursive: true });
}

function fileSystem(op: string, instead: string): FileSystem {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => FileSystem } };
  const files = process?.getBuiltinModule?.('node:fs/promises');
  if (!files) throw new UnsupportedError(`[${op}] this runtime has no files: in a browser, ${instead}`);
  return files;
}
