import { UnsupportedError } from '../core/errors.ts';
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
  // Saves to the file that a link names; the link stays.
  const target = await files.realpath(path).catch(() => path);
  const mode = await files.stat(target).then(
    (old) => old.mode & 0o777,
    () => null,
  );
  await removeLeft(files, target);
  const fresh = `${target}.${machine()}-${processNow()?.pid ?? 0}.${crypto.randomUUID()}.tmp`;
  try {
    await files.writeFile(fresh, bytes, { flush: true });
    if (mode !== null) await files.chmod(fresh, mode);
    await files.rename(fresh, target);
  } catch (error) {
    await files.rm(fresh, { force: true });
    throw error;
  }
}

/** Milliseconds after which a file that another machine is writing counts as left over: nothing tells what runs there. */
const leftAfter = 600_000;
/** The end of the name of a file that is being written: it tells which process of which machine writes it. */
const underWay = /\.([\da-f]{8})-(\d+)\.[\da-f]{8}-[\da-f-]{27}\.tmp$/;

/** Removes unfinished files of saves to this folder whose processes were killed. What can't be removed stays. */
async function removeLeft(files: FileSystem, target: string): Promise<void> {
  const folder = target.slice(0, Math.max(target.lastIndexOf('/'), target.lastIndexOf('\\')) + 1);
  try {
    for (const name of await files.readdir(folder || '.')) {
      const [, where, pid] = underWay.exec(name) ?? [];
      if (pid === undefined) continue;
      const isLeft =
        where === machine()
          ? !isRunning(Number(pid))
          : Date.now() - (await files.stat(folder + name)).mtimeMs > leftAfter;
      if (isLeft) await files.rm(folder + name, { force: true });
    }
  } catch {
    // Ignores a folder that can't be read, and a file that another process has removed: the save itself will say what
    // is wrong.
  }
}

interface Process {
  readonly pid: number;
  kill(pid: number, signal: 0): unknown;
  getBuiltinModule?(name: string): unknown;
}
const processNow = () => (globalThis as { process?: Process }).process;

/** Whether this machine has such a process. */
function isRunning(pid: number): boolean {
  try {
    processNow()?.kill(pid, 0);
    return true;
  } catch (error) {
    // Takes any other error as the sign of a process that exists.
    return (error as { code?: string }).code !== 'ESRCH';
  }
}

/** Eight digits that stand for this machine, or a container on it: the number of a process says nothing elsewhere. */
function machine(): string {
  const os = processNow()?.getBuiltinModule?.('node:os') as { hostname(): string } | undefined;
  let bits = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(os?.hostname() ?? '')) bits = Math.imul(bits ^ byte, 0x01000193);
  return (bits >>> 0).toString(16).padStart(8, '0');
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

/** Throws UnsupportedError in a browser, with what to do `instead` there. */
export function fileSystem(op: string, instead: string): FileSystem {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => FileSystem } };
  const files = process?.getBuiltinModule?.('node:fs/promises');
  if (!files) throw new UnsupportedError(`[${op}] this runtime has no files: in a browser, ${instead}`);
  return files;
}
