import { WeftError } from '../core/errors.ts';
import { brief } from '../core/options.ts';
import { fileSystem } from './files.ts';

/** Milliseconds after which a lock counts as left over: work under one takes a few of them. */
const leftAfter = 10_000;
/** Milliseconds that a call waits for others: each of them is soon done, or its lock left over. */
const patience = 60_000;

/**
 * Does `work` while nobody else, in this process or another, does theirs for the same path: to read a file, change what is in
 * it and save it. The lock is a file beside it, which only one can make. That of a process that was killed is left over after
 * ten seconds, and goes. Throws WeftError where others keep the lock for longer than it `waits`, a minute; UnsupportedError in a browser.
 */
export async function exclusively<T>(op: string, path: string, work: () => Promise<T>, waits = patience): Promise<T> {
  const files = fileSystem(op, 'there are none');
  const lock = `${path}.lock`;
  const own = crypto.randomUUID();

  const make = async (file: string) => {
    try {
      await files.writeFile(file, new TextEncoder().encode(own), { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as { code?: string }).code === 'EEXIST') return false;
      throw error;
    }
  };
  const isLeft = async (file: string) => {
    const found = await files.stat(file).catch(() => null);
    return found !== null && Date.now() - found.mtimeMs > leftAfter;
  };
  /**
   * Lets only the one who has made this file take a lock away: of two who find one left over, the later might take the
   * earlier's own.
   */
  const removal = `${lock}.left`;
  const removeLeft = async () => {
    if (!(await isLeft(lock))) return;
    if (await make(removal)) {
      if (await isLeft(lock)) await files.rm(lock, { force: true });
      await files.rm(removal, { force: true });
    } else if (await isLeft(removal)) await files.rm(removal, { force: true });
  };

  for (const start = Date.now(); !(await make(lock)); ) {
    if (Date.now() - start > waits)
      throw new WeftError(`[${op}] ${brief(lock, 200)} keeps others away for long: if none is at work, delete it`);
    await removeLeft();
    // Waits a random time: those who wait together would meet again.
    await new Promise((resolve) => setTimeout(resolve, 2 + 20 * Math.random()));
  }
  try {
    return await work();
  } finally {
    // Removes the lock only if it is still ours: after ten seconds another may have it.
    const found = await files.readFile(lock).catch(() => null);
    if (found && new TextDecoder().decode(found) === own) await files.rm(lock, { force: true });
  }
}
