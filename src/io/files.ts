import { UnsupportedError } from '../errors.ts';

/** The part of Node's `fs/promises` that weft uses; Deno has it too. */
interface FileSystem {
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  writeFile(path: string, bytes: Uint8Array, options: { readonly flush: boolean }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly force: boolean }): Promise<void>;
  mkdir(path: string, options: { readonly recursive: boolean }): Promise<unknown>;
}

/**
 * Saves `bytes` as a file, in Deno and Node. They go to a new file that then takes the old one's place, so that a crash
 * leaves either whole. Throws UnsupportedError in a browser.
 */
export async function saveFile(path: string, bytes: Uint8Array): Promise<void> {
  const files = fileSystem('saveFile', 'offer the bytes as a download: URL.createObjectURL(new Blob([bytes]))');
  const fresh = `${path}.${crypto.randomUUID()}.tmp`;
  try {
    await files.writeFile(fresh, bytes, { flush: true });
    await files.rename(fresh, path);
  } catch (error) {
    await files.rm(fresh, { force: true });
    throw error;
  }
}

/** Makes a folder, and those that it lies in, where they are not there yet. Throws UnsupportedError in a browser. */
export async function makeFolder(path: string): Promise<void> {
  await fileSystem('makeFolder', 'there are none').mkdir(path, { recursive: true });
}

/** Loads a file, in Deno and Node. Throws UnsupportedError in a browser. */
export async function loadFile(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const files = fileSystem(
    'loadFile',
    'use fetch(url), or the file that an <input type="file"> gives, and its arrayBuffer()',
  );
  return new Uint8Array(await files.readFile(path));
}

function fileSystem(op: string, instead: string): FileSystem {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => FileSystem } };
  const files = process?.getBuiltinModule?.('node:fs/promises');
  if (!files) throw new UnsupportedError(`[io.${op}] this runtime has no files: in a browser, ${instead}`);
  return files;
}
