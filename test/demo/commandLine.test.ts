import { describe, expect, it } from 'vitest';
import { type Choices, io } from '../../src/index.ts';

/** A page starts no processes. */
describe('npm start', () => {
  it('goes on in a new process to the bit: 20 steps are 10, saved, and 10 more', async () => {
    const { start, folder, read } = await shell();
    const common = ['--text', `${folder}/text.txt`, '--json'];
    const first = ['--model', 'rnn', '--steps', '20'];
    const [whole, half] = await Promise.all([
      start(...common, ...first, '--out', `${folder}/whole`),
      start(...common, ...first, '--out', `${folder}/parts`, '--stop-after', '10'),
    ]);
    expect(half.summary.models[0]).toMatchObject({ steps: 10, valLoss: null });
    const resumed = await start(...common, '--resume', `${folder}/parts/rnn.safetensors`);
    expect(resumed.code).toBe(0);
    expect(resumed.summary.models[0].valLoss).toBe(whole.summary.models[0].valLoss);
    expect(resumed.summary.models[0].sample).toBe(whole.summary.models[0].sample);
    expect(await read('parts/rnn.safetensors')).toEqual(await read('whole/rnn.safetensors'));
    expect(new TextDecoder().decode(await read('parts/rnn.svg'))).toContain('</svg>');
  });

  it('goes on with the kernels that the checkpoint names, and says where they are gone', async () => {
    const { start, folder, read, write } = await shell();
    const common = ['--text', `${folder}/text.txt`, '--json'];
    await start(...common, '--model', 'rnn', '--steps', '2', '--stop-after', '1', '--out', folder);
    const { tensors, metadata } = io.readSafetensors(await read('rnn.safetensors'));
    const goOn = async (choices: Choices) => {
      const weft = JSON.stringify({ ...JSON.parse(metadata.weft as string), choices });
      await write(`${choices.matmul}.safetensors`, io.writeSafetensors(tensors, { weft }));
      const out = ['--out', `${folder}/${choices.matmul}`];
      const { errors } = await start(...common, '--resume', `${folder}/${choices.matmul}.safetensors`, ...out);
      const after = io.readSafetensors(await read(`${choices.matmul}/${choices.matmul}.safetensors`));
      return { errors, choices: JSON.parse(after.metadata.weft as string).choices };
    };
    const [there, gone] = await Promise.all([goOn({ matmul: 'tiled64' }), goOn({ matmul: 'none' })]);
    expect(there.choices).toEqual({ matmul: 'tiled64' });
    expect(there.errors).not.toContain('Note');
    expect(gone.choices).toEqual({});
    expect(plain(gone.errors)).toContain('kernels of the checkpoint are gone');
    expect(plain(gone.errors)).toContain('[choose] matmul has no variant "none"');
  });

  it('leaves the records of a finished run as they are, says so, and names the text that is missing', async () => {
    const { start, folder, read, write } = await shell();
    const [text, other] = [`${folder}/text.txt`, `${folder}/other.txt`];
    await write('other.txt', new TextEncoder().encode('let loom = weft + shuttle; { fn main() }\n'.repeat(50)));
    const file = `${folder}/mine.safetensors`;
    await start('--text', text, '--json', '--model', 'rnn', '--steps', '2', '--out', folder);
    const before = await read('rnn.safetensors');
    await write('mine.safetensors', before);

    const resume = (...args: string[]) => start('--json', '--resume', file, ...args);
    const [finished, withOther, missing] = await Promise.all([
      resume(),
      resume('--text', other),
      resume('--steps', '3'),
    ]);
    expect(plain(finished.errors)).toContain(
      `${file} is finished: it has done all its 2 steps. Nothing was changed. ` +
        `train on npm start -- --resume ${file} --steps 4 --text FILE ` +
        `write text npm start -- --sample "PROMPT" --checkpoint ${file}`,
    );
    expect(plain(withOther.errors)).toContain(`is finished: it has done all its 2 steps. Nothing was changed.`);
    expect(plain(withOther.errors)).toContain(`--resume ${file} --steps 4 --text ${other}`);
    for (const { code, summary } of [finished, withOther]) {
      expect(code).toBe(0);
      expect(summary.models[0]).toMatchObject({ model: 'rnn', steps: 2, valLoss: null, checkpoint: null });
    }
    expect(missing.code).toBe(1);
    expect(missing.errors).toBe(
      `weft: ${file} was trained on ${text}: add --text FILE with that text, or another to go on with\n`,
    );
    expect(await read('mine.safetensors')).toEqual(before);
    await expect(read('mine.svg')).rejects.toThrow();

    // A run that goes on with another text says so, then and in its records, which bear the name of its file.
    const on = await resume('--text', other, '--steps', '3');
    expect(plain(on.errors)).toContain(
      `${file} was trained on ${text}: it goes on, but not as if it had never stopped`,
    );
    expect(on.summary.models[0]).toMatchObject({ steps: 3, checkpoint: file });
    expect(new TextDecoder().decode(await read('mine.svg'))).toContain(`RNN on ${text}, then ${other}`);
    expect(await read('rnn.safetensors')).toEqual(before);
  });

  it('says in one line what is wrong and what to do', async () => {
    const { start, folder } = await shell();
    const cases = [
      [
        ['--steps', 'many'],
        2,
        'weft: --steps takes a whole number from 1 on, not "many"\nnpm start -- --help lists all options.\n',
      ],
      [
        ['--stpes', '3'],
        2,
        'weft: there is no option --stpes; is --steps meant?\nnpm start -- --help lists all options.\n',
      ],
      [['--text', `${folder}/none.txt`], 1, `weft: ${folder}/none.txt can't be read: there is no such file\n`],
      [
        ['--text', `${folder}/\u001b[2J.txt`],
        1,
        `weft: ${folder}/\\u001b[2J.txt can't be read: there is no such file\n`,
      ],
      [['--text', `${folder}/short.txt`], 1, /^weft: .* is too short, 12 characters: .*\n$/],
      [
        ['--text', `${folder}/text.txt`, '--out', `${folder}/short.txt/deep`],
        1,
        `weft: ${folder}/short.txt/deep takes no files: a part of the path is a file; choose another folder with --out DIR\n`,
      ],
      [['--resume', `${folder}/text.txt`], 1, /^weft: .* can't be used: \[readSafetensors\] .*\n$/],
    ] as const;
    const results = await Promise.all(cases.map(([args]) => start(...args)));
    for (const [i, [, code, message]] of cases.entries()) {
      expect(results[i]?.code).toBe(code);
      expect(results[i]?.errors).toMatch(message);
    }
  });
});

/** Without line ends and columns. */
const plain = (text: string) => text.replace(/\s+/g, ' ');

/** Runs the demo's command line in processes of its own, in a folder with a text. */
async function shell() {
  const { spawn } = await import('node:child_process');
  const { mkdtemp, readFile, writeFile } = await import('node:fs/promises');
  const { tmpdir } = await import('node:os');
  const { join } = await import('node:path');
  const folder = await mkdtemp(join(tmpdir(), 'weft-demo-'));
  await writeFile(join(folder, 'text.txt'), 'fn main() { let weft = loom + shuttle; }\n'.repeat(50));
  await writeFile(join(folder, 'short.txt'), 'fn main() {}');
  const start = (...args: string[]) =>
    new Promise<{ code: number | null; errors: string; summary: ReturnType<typeof JSON.parse> }>((resolve) => {
      const child = spawn(process.execPath, ['run', '-A', 'demo/main.ts', ...args]);
      let output = '';
      let errors = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        errors += text;
      });
      child.on('close', (code) => {
        const last = output.trimEnd().split('\n').at(-1) ?? '';
        resolve({ code, errors, summary: last.startsWith('{') ? JSON.parse(last) : null });
      });
    });
  return {
    start,
    folder,
    read: async (name: string) => new Uint8Array(await readFile(join(folder, name))),
    write: (name: string, bytes: Uint8Array) => writeFile(join(folder, name), bytes),
  };
}
