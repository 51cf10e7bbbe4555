import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { FormatError, UnsupportedError, version } from '../../src/index.ts';
import { loadFile, saveFile } from '../../src/io/index.ts';
import { exclusively } from '../../src/io/lock.ts';
import { checkChoices } from '../../src/kernels/choices.ts';
import { defaultProfile, type Family } from '../../src/kernels/kernel.ts';
import { type ChoiceStore, defaultStore, inFile, storeChoices, storedChoices } from '../../src/runtime/choiceStore.ts';
import { runtime, soak } from '../support/environment.ts';

const device = { adapter: 'a test', profile: defaultProfile };
const key = `weft ${version}, a test, gpu`;

function inMemory(entries: Record<string, string> = {}): ChoiceStore & { entries: Record<string, string> } {
  return {
    name: 'memory',
    entries,
    read: async (name) => entries[name] ?? null,
    async write(name, text) {
      entries[name] = text;
    },
  };
}

describe('stored choices', () => {
  test('come back, and later ones are added to them', async () => {
    const store = inMemory();
    expect(await storedChoices(device, store)).toBeNull();
    await storeChoices(device, { softmax: 'rows', 'matmul NN 64 64 64': 'tiled32' }, store);
    await storeChoices(device, { softmax: 'thread' }, store);
    expect(await storedChoices(device, store)).toEqual({ softmax: 'thread', 'matmul NN 64 64 64': 'tiled32' });
  });

  test('that are added at once are all there', async () => {
    const store = inMemory();
    await Promise.all([
      storeChoices(device, { softmax: 'rows' }, store),
      storeChoices(device, { reduce: 'split' }, store),
    ]);
    expect(await storedChoices(device, store)).toEqual({ softmax: 'rows', reduce: 'split' });
  });

  test('are those of an adapter, a version and a profile', async () => {
    const store = inMemory();
    await storeChoices(device, { softmax: 'rows' }, store);
    expect(Object.keys(store.entries)).toEqual([key]);
    expect(version).toBe(packageJson.version);
    expect(await storedChoices({ ...device, adapter: 'another' }, store)).toBeNull();
    expect(await storedChoices({ ...device, profile: { ...defaultProfile, selection: 'software' } }, store)).toBeNull();
  });

  test.each([
    ['{', 'JSON'],
    ['3', 'it is no object of strings'],
    ['{"softmax":1}', 'it is no object of strings'],
    ['{"softmax":"quick"}', 'softmax has no variant "quick"'],
  ])('that are broken are refused, and the next ones take their place: %s', async (text, reason) => {
    const store = inMemory({ [key]: text });
    const broken = storedChoices(device, store);
    await expect(broken).rejects.toThrow(FormatError);
    await expect(broken).rejects.toThrow(`[choices] what memory holds under "${key}" can't be used: `);
    await expect(broken).rejects.toThrow(reason);
    await storeChoices(device, { softmax: 'rows' }, store);
    expect(await storedChoices(device, store)).toEqual({ softmax: 'rows' });
  });

  test('lie where the runtime keeps things', async () => {
    const store = defaultStore();
    expect(store.name).toMatch(runtime === 'deno' ? /weft\/choices\.json$/ : /^localStorage$/);
    if (runtime === 'chromium') {
      await store.write('weft test', 'text');
      expect(await store.read('weft test')).toBe('text');
      await store.update?.('weft test', (text) => `${text} more`);
      expect(await store.read('weft test')).toBe('text more');
      localStorage.removeItem('weft test');
      expect(await store.read('weft test')).toBeNull();
    } else {
      const path = `${await temporaryFolder()}/a/b/choices.json`;
      const file = inFile(path);
      expect(await file.read('one')).toBeNull();
      await Promise.all([file.write('one', 'text'), file.write('two', 'more')]);
      expect([await file.read('one'), await file.read('two'), await file.read('three')]).toEqual([
        'text',
        'more',
        null,
      ]);
    }
  });

  test.runIf(runtime === 'deno')('leave a file alone that is not theirs', async () => {
    for (const text of ['{"a": 1}', '[1]', 'PK']) {
      const path = `${await temporaryFolder()}/choices.json`;
      await saveFile(path, new TextEncoder().encode(text));
      const file = inFile(path);
      await expect(file.read('one')).rejects.toThrow(FormatError);
      await expect(storeChoices(device, { softmax: 'rows' }, file)).rejects.toThrow(
        `[choices] ${path} is no file of tuned choices: `,
      );
      expect(new TextDecoder().decode(await loadFile(path))).toBe(text);
    }
  });

  test.runIf(runtime === 'deno')('need permissions in Deno, and say which', async () => {
    const script = `${await temporaryFolder()}/read.ts`;
    const module = new URL('../../src/runtime/choiceStore.ts', import.meta.url).href;
    const code = `import { defaultStore } from ${JSON.stringify(module)};
      try { await defaultStore().read('') } catch (error) { console.log(error.name, error.message) }`;
    await saveFile(script, new TextEncoder().encode(code));
    for (const [permissions, missing] of [
      [[], 'Requires env access to "HOME", run again with the --allow-env flag'],
      [['--allow-env'], 'Requires read access to ".*weft/choices.json", run again with the --allow-read flag'],
    ] as const) {
      const args = ['run', '--no-prompt', ...permissions, script];
      const { stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
      expect(new TextDecoder().decode(stdout)).toMatch(
        new RegExp(`^UnsupportedError \\[choices\\] nothing is kept .*: ${missing}, or pass a store of your own`),
      );
    }
  });
});

describe.runIf(runtime === 'deno')('choices that several processes store at once', () => {
  /** Starts a script that may use `inFile`, `storeChoices`, `exclusively` and the `path` of the file. */
  const scripts = async (folder: string) => {
    const path = `${folder}/choices.json`;
    const module = (file: string) => JSON.stringify(new URL(`../../src/${file}`, import.meta.url).href);
    let count = 0;
    return async (code: string) => {
      const script = `${folder}/${count++}.ts`;
      const imports = `import { inFile, storeChoices } from ${module('runtime/choiceStore.ts')};
        import { exclusively } from ${module('io/lock.ts')};
        const path = ${JSON.stringify(path)};`;
      await saveFile(script, new TextEncoder().encode(`${imports}\n${code}`));
      return new Deno.Command(Deno.execPath(), { args: ['run', '-A', script], stdout: 'piped' }).spawn();
    };
  };
  const stored = async (folder: string): Promise<Record<string, string>> =>
    JSON.parse(new TextDecoder().decode(await loadFile(`${folder}/choices.json`)));
  const keysOf = (processes: number, each: number) =>
    Array.from({ length: processes * each }, (_, i) => `key ${Math.floor(i / each)} ${i % each}`);

  test('are all there, for each adapter and for one', async () => {
    const folder = await temporaryFolder();
    const start = await scripts(folder);
    const [processes, each] = soak ? [16, 20] : [8, 5];
    const running = [];
    for (let i = 0; i < processes; i++)
      running.push(
        await start(`for (let j = 0; j < ${each}; j++) {
          await inFile(path).write('key ${i} ' + j, 'text');
          const variant = ['thread', 'rows'][j % 2];
          await storeChoices({ adapter: 'one', profile: { selection: 'gpu' } }, { ['softmax ${i} ' + j]: variant }, inFile(path));
        }`),
      );
    for (const process of running) expect((await process.status).success).toBe(true);
    const entries = await stored(folder);
    const one = `weft ${version}, one, gpu`;
    expect(Object.keys(entries).sort()).toEqual([...keysOf(processes, each), one].sort());
    const choices = Object.keys(JSON.parse(entries[one] as string));
    expect(choices.sort()).toEqual(
      keysOf(processes, each)
        .map((key) => key.replace('key', 'softmax'))
        .sort(),
    );
    // Nothing but the file and the scripts.
    expect((await filesIn(folder)).filter((name) => !name.endsWith('.ts'))).toEqual(['choices.json']);
  });

  test('are stored all the same where one was killed in the midst of it', async () => {
    const folder = await temporaryFolder();
    const start = await scripts(folder);
    const holder = await start(`await exclusively('test', path, async () => {
      console.log('held');
      await new Promise((resolve) => setTimeout(resolve, 1e6));
    });`);
    const { value } = await holder.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe('held\n');
    holder.kill('SIGKILL');
    expect((await holder.status).success).toBe(false);
    const lock = `${folder}/choices.json.lock`;
    await expect(exclusively('test', `${folder}/choices.json`, async () => {}, 100)).rejects.toThrow(
      `[test] ${lock} keeps others away for long: if none is at work, delete it`,
    );
    const processes = 6;
    const running = [];
    for (let i = 0; i < processes; i++) running.push(await start(`await inFile(path).write('key ${i} 0', 'text');`));
    // The long form waits until the lock is left over.
    if (!soak) await Deno.utime(lock, 1e9, 1e9);
    for (const process of running) expect((await process.status).success).toBe(true);
    expect(Object.keys(await stored(folder)).sort()).toEqual(keysOf(processes, 1));
    expect((await filesIn(folder)).filter((name) => !name.endsWith('.ts'))).toEqual(['choices.json']);
  });
});

interface DenoProcess {
  readonly status: Promise<{ readonly success: boolean }>;
  readonly stdout: ReadableStream<Uint8Array>;
  kill(signal: string): void;
}
interface DenoTools {
  makeTempDir(): Promise<string>;
  utime(path: string, accessed: number, modified: number): Promise<void>;
  execPath(): string;
  Command: new (
    program: string,
    options: { args: string[]; stdout?: 'piped' },
  ) => { output(): Promise<{ stdout: Uint8Array }>; spawn(): DenoProcess };
}
const { Deno } = globalThis as unknown as { Deno: DenoTools };
const temporaryFolder = () => Deno.makeTempDir();
const filesIn = async (folder: string) => (await import('node:fs/promises')).readdir(folder);

describe('choices', () => {
  test('name a family and one of its variants', () => {
    expect(checkChoices({ matmul: 'tiled64', 'matmul NN 8 8 8': 'gemv' })).toEqual({
      matmul: 'tiled64',
      'matmul NN 8 8 8': 'gemv',
    });
    expect(() => checkChoices({ matmull: 'tiled64' })).toThrow(UnsupportedError);
    expect(() => checkChoices({ matmull: 'tiled64' })).toThrow(
      /^\[choose\] there is no family of kernels "matmull"; there are matmul, conv, attentionForward/,
    );
    expect(() => checkChoices({ matmul: 'toString' })).toThrow(
      /^\[choose\] matmul has no variant "toString"; it has tiled32, /,
    );
    for (const [none, shown] of [
      [null, 'null'],
      ['tiled64', "'tiled64'"],
      [['tiled64'], 'an array of 1'],
    ])
      expect(() => checkChoices(none as never)).toThrow(
        `[choose] choices must be an object of variants by family, like { matmul: 'tiled64' }, got ${shown}`,
      );
  });

  test('can be made for every family that there is', () => {
    const modules = import.meta.glob<Record<string, unknown>>('../../src/kernels/*.ts', { eager: true });
    const found = Object.values(modules).flatMap((module) => Object.values(module).filter(isFamily));
    expect(found.length).toBeGreaterThan(20);
    for (const { name, variants } of found) {
      for (const variant of Object.keys(variants)) expect(() => checkChoices({ [name]: variant })).not.toThrow();
    }
  });
});

function isFamily(value: unknown): value is Family<never> {
  return typeof value === 'object' && value !== null && 'variants' in value && 'select' in value;
}
