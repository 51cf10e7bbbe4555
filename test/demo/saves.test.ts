import { describe, expect, it, onTestFinished } from 'vitest';
import { type RunInfo, readCheckpoint, writeCheckpoint } from '../../demo/checkpoint.ts';
import { type Config, configOf } from '../../demo/configs.ts';
import { Training } from '../../demo/training.ts';
import { CharVocabulary } from '../../src/text/index.ts';
import { profile, soak } from '../support/environment.ts';
import { announceReads, useGpu } from '../support/gpu.ts';

/** Saves of `npm start` that come to a bad end: killed in their midst, or with no room left. */

useGpu();

const vocabulary = new CharVocabulary('the quick brown fox');
const config: Config = {
  ...configOf('default', 'gpt', 20),
  sizes: { layers: 2, heads: 2, width: 128 },
  context: 8,
  batch: 2,
};

/** A good checkpoint of some megabytes. */
async function checkpointOf(seed: number): Promise<Uint8Array<ArrayBuffer>> {
  const training = new Training(config, vocabulary.size, new Int32Array(20), seed);
  const info: RunInfo = { config, profile, choices: {}, seed, text: 'ab', textName: 'a', vocabulary };
  announceReads(1);
  return writeCheckpoint(training, info);
}

describe('a checkpoint that is saved', () => {
  it('while the process is killed is whole: the old one or the new one', async () => {
    const { readdir, readFile, writeFile } = await import('node:fs/promises');
    const { folder, run } = await shell();
    const made = [await checkpointOf(1), await checkpointOf(2)] as const;
    await writeFile(`${folder}/1`, made[0]);
    await writeFile(`${folder}/2`, made[1]);
    const saves = `
      const made = [await host.readFile(folder + '/1'), await host.readFile(folder + '/2')];
      await host.writeFile(folder + '/out', 'gpt.safetensors', made[0]);
      console.log('saving');
      for (let i = 1; ; i++) await host.writeFile(folder + '/out', 'gpt.safetensors', made[i % 2]);`;
    const path = `${folder}/out/gpt.safetensors`;
    let left: string[] = [];
    const kills = soak ? 100 : 5;
    for (let kill = 0; kill < kills; kill++) {
      const child = run(saves);
      const signal = new Promise((resolve) => child.once('close', (_, signal) => resolve(signal)));
      await Promise.race([signal, new Promise((resolve) => child.stdout.once('data', resolve))]);
      // At the moment in which something happens to a file, so that a save is under way.
      await Promise.race([signal, someChanges(`${folder}/out`, 1 + Math.floor(8 * Math.random()))]);
      child.kill('SIGKILL');
      expect(await signal).toBe('SIGKILL');
      const found = new Uint8Array(await readFile(path));
      const { seed } = readCheckpoint(found, path).info;
      // Not `toEqual`, which is slow on millions of bytes.
      expect(Buffer.compare(found, made[seed - 1] as Uint8Array)).toBe(0);
      left = (await readdir(`${folder}/out`)).filter((name) => name !== 'gpt.safetensors');
      for (const name of left) expect(name).toMatch(/^gpt\.safetensors\.[\da-f]{8}-\d+\.[\da-f-]{36}\.tmp$/);
    }
    // The start of another run removes what they have left.
    const next = run(`await host.tryFolder(folder + '/out');`);
    expect(await ended(next)).toEqual({ code: 0, output: '' });
    expect(await readdir(`${folder}/out`)).toEqual(['gpt.safetensors']);
  });

  it('to a full disk is refused, and the one that is there stays', async ({ skip }) => {
    const { mkdir, writeFile } = await import('node:fs/promises');
    const { folder, run } = await shell();
    // A disk of the process's own, which goes when it ends.
    const small = ['unshare', '--map-root-user', '--mount', 'sh', '-c'];
    const mount = `mount -t tmpfs -o size=8m tmpfs "${folder}/disk"`;
    await mkdir(`${folder}/disk`);
    const probe = await ended(run('', [...small, mount])).catch(() => null);
    if (probe?.code !== 0) skip('no disk can be mounted here');
    const bytes = await checkpointOf(1);
    // One has room on the disk, and a second beside it has none.
    expect(bytes.length).toBeGreaterThan(4.2e6);
    expect(bytes.length).toBeLessThan(8e6);
    await writeFile(`${folder}/1`, bytes);
    const code = `
      import { readdir } from 'node:fs/promises';
      import { io } from './src/index.ts';
      const made = await host.readFile(folder + '/1');
      const [disk, name] = [folder + '/disk', 'gpt.safetensors'];
      await host.writeFile(disk, name, made);
      const errors = [];
      for (const save of [() => host.writeFile(disk, name, made.map((byte) => byte ^ 1)), () => io.saveFile(disk + '/' + name, made)])
        errors.push(await save().catch(({ message, code }) => code ?? message));
      const found = await host.readFile(disk + '/' + name);
      const same = found.length === made.length && found.every((byte, i) => byte === made[i]);
      console.log(JSON.stringify({ errors, same, names: await readdir(disk) }));`;
    const { output } = await ended(run(code, [...small, `${mount} && "$0" "$@"`]));
    expect(JSON.parse(output)).toEqual({
      errors: [
        `${folder}/disk/gpt.safetensors can't be written: the disk is full; make room there, or choose another folder with --out DIR`,
        'ENOSPC',
      ],
      same: true,
      names: ['gpt.safetensors'],
    });
  });
});

/** Waits until so many things have happened to the files of a folder. */
async function someChanges(folder: string, count: number): Promise<void> {
  const { watch } = await import('node:fs');
  await new Promise<void>((resolve) => {
    const watcher = watch(folder, () => {
      if (--count > 0) return;
      watcher.close();
      resolve();
    });
  });
}

/** A folder, and scripts that have a host of `npm start`, each a process by itself or behind other commands. */
async function shell() {
  const { spawn } = await import('node:child_process');
  const { mkdtemp, rm } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const folder = await mkdtemp(`${tmpdir()}/weft-saves-`);
  onTestFinished(() => rm(folder, { recursive: true }));
  const run = (code: string, [command, ...before]: readonly string[] = []) => {
    // Where the project is the folder of the process, so that its packages are found.
    const script = `import { DenoHost } from './demo/deno.ts';
      import { terminal } from './demo/terminal.ts';
      const host = new DenoHost(terminal(true));
      const folder = ${JSON.stringify(folder)};
      ${code}`;
    const args = ['eval', '--ext=ts', script];
    return command ? spawn(command, [...before, process.execPath, ...args]) : spawn(process.execPath, args);
  };
  return { folder, run };
}

type Child = Awaited<ReturnType<typeof shell>>['run'] extends (...args: never[]) => infer Started ? Started : never;

async function ended(child: Child): Promise<{ code: number | null; output: string }> {
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}
