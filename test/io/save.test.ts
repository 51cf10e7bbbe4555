import { describe, expect, it } from 'vitest';
import { FormatError, UnsupportedError, ValueError } from '../../src/core/errors.ts';
import { io, nn, optim, type Tensor, tensor } from '../../src/index.ts';
import { hasFiles } from '../support/environment.ts';
import { announceReads, read, useGpu } from '../support/gpu.ts';

useGpu();

describe('io.save and io.load', () => {
  it('bring a trained model and its optimizer back, in one line each', async () => {
    const trained = new nn.Linear(3, 2);
    const adam = new optim.Adam(trained.parameters(), { lr: 0.1 });
    for (let i = 0; i < 2; i++) {
      trained
        .forward(tensor([[1, 2, 3]]))
        .sum()
        .backward();
      adam.step();
      adam.zeroGrad();
    }
    announceReads(2);
    const [model, state] = [await io.save(trained), await io.save(adam)];

    const copy = new nn.Linear(3, 2);
    const other = new optim.Adam(copy.parameters(), { lr: 0.1 });
    copy.loadStateDict(await io.load(model));
    other.loadStateDict(await io.load(state));
    expect(await read(...copy.parameters())).toEqual(await read(...trained.parameters()));
    expect(await read(...other.stateDict().values())).toEqual(await read(...adam.stateDict().values()));

    // The low-level functions fit, too.
    const third = new nn.Linear(3, 2);
    third.loadStateDict(io.readSafetensors(model).tensors);
    expect(await read(...third.parameters())).toEqual(await read(...trained.parameters()));
  });

  it('take tensors by name, in a Map or an object, on the device or not, and metadata', async () => {
    const host: io.HostTensor = { dtype: 'i32', shape: [2], data: Int32Array.of(1, -1) };
    const tensors = { sum: tensor([[1, 2]]).add(0.5), mask: tensor([true, false]), host };
    announceReads(2);
    const bytes = await io.save(tensors, undefined, { metadata: { note: 'ü' } });
    expect(await io.save(new Map<string, Tensor | io.HostTensor>(Object.entries(tensors)))).not.toEqual(bytes);
    const file = await io.load(bytes);
    expect([...file.keys()].sort()).toEqual(['host', 'mask', 'sum']);
    expect(file.get('sum')?.host).toEqual(Float32Array.of(1.5, 2.5));
    expect(file.get('sum')?.shape).toEqual([1, 2]);
    expect(file.get('mask')?.dtype).toBe('bool');
    expect(file.get('host')?.host).toEqual(host.data);
    expect({ ...file.metadata }).toEqual({ note: 'ü' });
  });

  it('refuse what would save nothing, or is no tensor', async () => {
    const cases: [unknown, string][] = [
      [new nn.Dropout(0.5), 'there are no tensors in what was given'],
      [{}, 'there are no tensors in what was given'],
      [{ model: new nn.Linear(1, 1) }, '"model" is an object of class Linear, no tensor'],
      [{ lr: 0.1 }, '"lr" is number 0.1, no tensor'],
      [
        tensor([1]),
        'takes tensors by name, in a Map or a plain object; got an object of class Tensor: give it a name, { name: tensor }',
      ],
      [undefined, 'takes tensors by name, in a Map or a plain object; got undefined'],
    ];
    for (const [given, message] of cases) {
      await expect(io.save(given as io.Saveable)).rejects.toThrow(ValueError);
      await expect(io.save(given as io.Saveable)).rejects.toThrow(`[io.save] ${message}`);
    }
  });

  it('say what they can’t write to and read from', async () => {
    const one = { a: tensor([1]) };
    announceReads(1);
    await expect(io.save(one, { metadata: {} } as unknown as io.Target)).rejects.toThrow(
      "[io.save] can't write to a plain object: give a path, a file: URL or the handle of a file, or nothing to get the bytes",
    );
    await expect(io.load(5 as unknown as io.Source)).rejects.toThrow("[io.load] can't read from number 5: give a path");
    await expect(io.load('https://weft.example/a.safetensors')).rejects.toThrow(UnsupportedError);
    await expect(io.load(new URL('https://weft.example/a'))).rejects.toThrow(
      '[io.load] https://weft.example/a is no file: `io.load(await fetch(url))` reads it',
    );
    await expect(io.load(new Response('gone', { status: 404 }))).rejects.toThrow(
      '[io.load] the request was answered with status 404',
    );
    await expect(io.load(new Blob(['{}']))).rejects.toThrow(FormatError);
  });

  it('load a Blob, and the Response of fetch', async () => {
    const bytes = await saved();
    for (const source of [new Blob([bytes]), new Response(bytes)])
      expect((await io.load(source)).get('a')?.host).toEqual(Float32Array.of(1, 2));
  });

  it('load what can be had of a file, and say what can’t and what changed', async () => {
    const bytes = io.writeSafetensors({ weight: f32([1, 1], 3), bias: f32([1], 4) });
    const text = new TextDecoder('latin1').decode(bytes).replace('"bias":{"dtype":"F32"', '"bias":{"dtype":"F9x"');
    const foreign = Uint8Array.from(text, (character) => character.charCodeAt(0));
    const file = await io.load(foreign);
    expect(file.refused.bias).toContain('has dtype "F9x"');
    const model = new nn.Linear(1, 1);
    expect(() => model.loadStateDict(file)).toThrow(
      'missing (1): bias (in the file it has dtype "F9x": weft reads F32',
    );
    expect(model.loadStateDict(file, { strict: false }).missing).toEqual(['bias']);
    expect((await read(model.weight))[0]).toEqual(Float32Array.of(3));
    await expect(io.load(foreign, { strict: true })).rejects.toThrow('[readSafetensors] tensor "bias" has dtype "F9x"');
  });

  it('give loadStateDict copies, and it refuses what is no tensor', async () => {
    const model = new nn.Linear(1, 1, { bias: false });
    const weight = f32([1, 1], 7);
    model.loadStateDict({ weight });
    weight.data[0] = 8;
    expect((await read(model.weight))[0]).toEqual(Float32Array.of(7));
    for (const wrong of [
      5,
      [[1]],
      Float32Array.of(1),
      { ...weight, data: [8] },
      { ...weight, data: new Float32Array(2) },
    ])
      expect(() => model.loadStateDict({ weight: wrong as unknown as Tensor })).toThrow(
        'weight is f32 [1, 1] here, no tensor in what is loaded',
      );
  });
});

describe.runIf(hasFiles)('files of Deno and Node', () => {
  it('are saved to and loaded from by path, by URL and by handle', async () => {
    const { mkdtemp, open, readdir, readFile, rm, writeFile } = await import('node:fs/promises');
    const { Deno } = globalThis as unknown as { Deno?: { open(path: string, options: object): Promise<DenoHandle> } };
    const folder = await mkdtemp('/tmp/weft-save ä-');
    try {
      const url = new URL(`file://${folder}/by url.safetensors`);
      await writeFile(`${folder}/long`, new Uint8Array(1000));
      const handle = await open(`${folder}/long`, 'r+');
      const file = await Deno?.open(`${folder}/deno`, { read: true, write: true, create: true });
      for (const place of [`${folder}/by path`, url, url.href, handle, ...(file ? [file] : [])]) {
        const bytes = await saved(place);
        expect(bytes.length).toBe(72);
        expect((await io.load(place)).get('a')?.host).toEqual(Float32Array.of(1, 2));
      }
      await handle.close();
      file?.close();
      const names = ['by path', 'by url.safetensors', ...(file ? ['deno'] : []), 'long'];
      expect((await readdir(folder)).sort()).toEqual(names);
      for (const name of names) expect((await readFile(`${folder}/${name}`)).length).toBe(72);
      // Node's Buffer as it is.
      expect(io.readSafetensors(await readFile(`${folder}/long`)).tensors.a).toEqual(f32([2], 1, 2));
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe.runIf(hasFiles)('files of Deno and Node that were there before', () => {
  it('keep their mode and the links to them', async () => {
    const { chmod, lstat, mkdtemp, readFile, rm, stat, symlink, writeFile } = await import('node:fs/promises');
    const folder = await mkdtemp('/tmp/weft-save-');
    try {
      await writeFile(`${folder}/real`, 'old');
      await chmod(`${folder}/real`, 0o640);
      await symlink('real', `${folder}/link`);
      await io.saveFile(`${folder}/link`, Uint8Array.of(1, 2));
      expect((await lstat(`${folder}/link`)).isSymbolicLink()).toBe(true);
      expect([...(await readFile(`${folder}/real`))]).toEqual([1, 2]);
      expect((await stat(`${folder}/real`)).mode & 0o777).toBe(0o640);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('are rid of what saves have left whose processes were killed, and of nothing else', async () => {
    const { spawnSync } = await import('node:child_process');
    const { mkdtemp, readdir, rm, utimes, writeFile } = await import('node:fs/promises');
    const { default: process } = await import('node:process');
    const folder = await mkdtemp('/tmp/weft-save-');
    const uuid = crypto.randomUUID();
    // The name of a file under way, as a failing save shows it.
    const failed = await io.saveFile(`${folder}/none/a`, Uint8Array.of(1)).catch(String);
    const machine = /a\.([\da-f]{8})-/.exec(failed as string)?.[1];
    const dead = spawnSync(process.execPath, ['--version']).pid;
    const another = machine === '00000000' ? '11111111' : '00000000';
    const [old, young] = [true, false];
    const files: [name: string, isOld: boolean, stays: boolean][] = [
      [`a.${machine}-${dead}.${uuid}.tmp`, young, false],
      [`b.${machine}-${dead}.${uuid}.tmp`, young, false],
      [`a.${machine}-${process.pid}.${uuid}.tmp`, old, true],
      [`a.${another}-${dead}.${uuid}.tmp`, young, true],
      [`a.${another}-${process.pid}.${uuid}.tmp`, old, false],
      ['a.1.tmp', old, true],
      [`a.${machine}-${dead}.tmp`, old, true],
      ['a', old, true],
    ];
    try {
      for (const [name, isOld] of files) {
        await writeFile(`${folder}/${name}`, 'x');
        if (isOld) await utimes(`${folder}/${name}`, 1e9, 1e9);
      }
      await io.saveFile(`${folder}/a`, Uint8Array.of(1));
      const expected = files.flatMap(([name, , stays]) => (stays ? [name] : []));
      expect((await readdir(folder)).sort()).toEqual(expected.sort());
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe.runIf(!hasFiles)('files of a page', () => {
  it('are saved to and loaded from by handle, and errors say so', async () => {
    const root = await navigator.storage.getDirectory();
    const handle = await root.getFileHandle('weft-save.safetensors', { create: true });
    try {
      await saved(handle);
      await saved(handle);
      expect((await io.load(handle)).get('a')?.host).toEqual(Float32Array.of(1, 2));
      expect((await io.load(await handle.getFile())).get('a')?.shape).toEqual([2]);
    } finally {
      await root.removeEntry('weft-save.safetensors');
    }
    await expect(saved('a.safetensors')).rejects.toThrow(
      '[io.save] this runtime has no files: in a browser, offer the bytes as a download, ' +
        'URL.createObjectURL(new Blob([bytes])), or give io.save a file handle of showSaveFilePicker()',
    );
    await expect(io.load('a.safetensors')).rejects.toThrow(
      '[io.load] this runtime has no files: in a browser, use `io.load(await fetch(url))`',
    );
  });
});

type DenoHandle = Extract<io.Target, { seek: unknown }> & { close(): void };

const f32 = (shape: number[], ...values: number[]): io.HostTensor => ({
  dtype: 'f32',
  shape,
  data: Float32Array.from(values),
});

const saved = (to?: io.Target) => io.save({ a: f32([2], 1, 2) }, to);
