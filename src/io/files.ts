import { UnsupportedError } from '../errors.ts';
import { type ByteSource, bytesOf } from './bytes.ts';

/** The part of Node's `fs/promises` that weft uses; Deno has it too. */
interface FileSystem {
  readFile(path: string): Promise<Uint8Array<ArrayBuffer>>;
  writeFile(
    path: string,
    bytes: Uint8Array,
    options: { readonly flush?: boolean; readonly flag?: 'wx' },
  ): Promise<void>;
  readdir(path: string): Promise<string[]>;
  realpath(path: string): Promise<string>;
  stat(path: string): Promise<{ readonly mode: number; readonly mtimeMs: number }>;
  chmod(path: string, mode: number): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly force: boolean }): Promise<void>;
  mkdir(path: string, options: { readonly recursive: boolean }): Promise<unknown>;
}

/**
 * Saves `bytes`, a buffer or any view of one, as a file, in Deno and Node. They go to a new file that then takes the old
 * one's place, so that a crash leaves either whole; the mode of the old one stays, and a link to it. Throws UnsupportedError
 * in a browser.
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
  // What a link names is saved, and the link stays.
  const target = await files.realpath(path).catch(() => path);
  const mode = await files.stat(target).then(
    (old) => old.mode & 0o777,
    () => null,
  );
  await removeLeft(files, target);
  const fresh = `${target}.${pid()}.${crypto.randomUUID()}.tmp`;
  try {
    await files.writeFile(fresh, bytes, { flush: true });
    if (mode !== null) await files.chmod(fresh, mode);
    await files.rename(fresh, target);
  } catch (error) {
    await files.rm(fresh, { force: true });
    throw error;
  }
}

/** Milliseconds after which a file under way is left over: another machine may be at work in the same folder. */
const leftAfter = 600_000;

/** Removes what saves to this path have left behind whose processes were killed. What can't be removed stays. */
async function removeLeft(files: FileSystem, target: string): Promise<void> {
  const end = Math.max(target.lastIndexOf('/'), target.lastIndexOf('\\')) + 1;
  const [folder, name] = [target.slice(0, end), target.slice(end)];
  const isUnderWay = (other: string) =>
    other.startsWith(`${name}.`) && /^\.\d+\.[\da-f-]{36}\.tmp$/.test(other.slice(name.length));
  try {
    for (const other of (await files.readdir(folder || '.')).filter(isUnderWay)) {
      const isOwn = other.startsWith(`${name}.${pid()}.`);
      const { mtimeMs } = await files.stat(folder + other);
      if (!isOwn && Date.now() - mtimeMs > leftAfter) await files.rm(folder + other, { force: true });
    }
  } catch {
    // The folder can't be read, or another process was faster: the save itself will say what is wrong.
  }
}

const pid = () => (globalThis as { process?: { pid?: number } }).process?.pid ?? 0;

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

/** Throws UnsupportedError in a browser, with what to do `instead` there. */
export function fileSystem(op: string, instead: string): FileSystem {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => FileSystem } };
  const files = process?.getBuiltinModule?.('node:fs/promises');
  if (!files) throw new UnsupportedError(`[${op}] this runtime has no files: in a browser, ${instead}`);
  return files;
}
