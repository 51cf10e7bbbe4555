import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { brief } from '../src/core/options.ts';
import { io } from '../src/index.ts';
import { type LossCurve, svgChart } from './chart.ts';
import { isSource } from './corpus.ts';
import { type Host, JobError, type Progress } from './host.ts';
import { type Terminal, terminalChart } from './terminal.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The job's host where files and a terminal are at hand. */
export class DenoHost implements Host {
  readonly runtime = `Deno ${process.versions.deno}`;
  interrupted = false;
  readonly #terminal: Terminal;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  print(text = ''): void {
    this.#terminal.print(text);
  }

  progress(progress: Progress): void {
    this.#terminal.progress(progress);
  }

  async readFile(path: string): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return new Uint8Array(await readFile(resolve(path)));
    } catch (error) {
      throw new JobError(`${brief(path, 200)} can't be read: ${reason(error)}`);
    }
  }

  async tryFolder(folder: string): Promise<void> {
    const path = join(resolve(folder), `.weft-${process.pid}.tmp`);
    try {
      await mkdir(resolve(folder), { recursive: true });
      // Clears away what a process has left behind that was killed.
      await io.saveFile(path, new Uint8Array());
      await rm(path);
    } catch (error) {
      throw new JobError(`${brief(folder, 200)} takes no files: ${reason(error)}; ${remedy(error)}`);
    }
  }

  async writeFile(folder: string, name: string, bytes: Uint8Array): Promise<string> {
    const path = join(folder, name);
    try {
      await mkdir(resolve(folder), { recursive: true });
      await io.saveFile(resolve(path), bytes);
      return path;
    } catch (error) {
      throw new JobError(`${brief(path, 200)} can't be written: ${reason(error)}; ${remedy(error)}`);
    }
  }

  async showCurve(folder: string, name: string, curve: LossCurve): Promise<string> {
    this.print(terminalChart(curve, this.#terminal.columns));
    return this.writeFile(folder, name, new TextEncoder().encode(svgChart(curve)));
  }

  async sources(): Promise<Record<string, string>> {
    const paths = ['README.md', ...(await filesUnder('src')), ...(await filesUnder('shaders'))].filter(isSource);
    const present = await Promise.all(paths.map(async (path) => [path, await text(join(root, path))] as const));
    return Object.fromEntries(present.filter((entry): entry is [string, string] => entry[1] !== null));
  }
}

async function filesUnder(folder: string): Promise<string[]> {
  const entries = await readdir(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/'));
}

/** The text of a file, null where there is none. */
async function text(path: string): Promise<string | null> {
  return (await stat(path).catch(() => null)) ? readFile(path, 'utf8') : null;
}

/** What to do where a folder takes no file. */
function remedy(error: unknown): string {
  const { code } = error as { code?: string };
  const isFull = code === 'ENOSPC' || code === 'EDQUOT';
  return `${isFull ? 'make room there, or ' : ''}choose another folder with --out DIR`;
}

/** What went wrong, without the path and the system call. */
function reason(error: unknown): string {
  const code = (error as { code?: string }).code;
  const reasons: Record<string, string> = {
    ENOENT: 'there is no such file',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is a file',
    EEXIST: 'a part of the path is a file',
    EACCES: 'access is denied',
    EROFS: 'the file system is read-only',
    ENOSPC: 'the disk is full',
    EDQUOT: 'the disk has no room left for you',
    EFBIG: 'the file system takes no file of that size',
  };
  return reasons[code ?? ''] ?? brief(error instanceof Error ? error.message : String(error), 200);
}
