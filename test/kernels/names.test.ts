import { describe, expect, it } from 'vitest';
import { families } from '../../src/kernels/family.ts';
import { type Dispatch, defaultProfile } from '../../src/kernels/kernel.ts';
import { dispatchesOf, familyNames } from './problems.ts';

/**
 * A name leads to its files. A kernel is called family/variant[/stage], and its shader lies in the folder of the file that
 * declares the family, as `<stage>.<variant>.wgsl`, without what all share: `norm/rows` runs shaders/norm/forward.rows.wgsl.
 */
const texts = (files: Record<string, unknown>) => files as Record<string, string>;
const shaders = texts(import.meta.glob('../../shaders/*/*.wgsl', { query: '?raw', import: 'default', eager: true }));
const modules = texts(import.meta.glob('../../src/kernels/*.ts', { query: '?raw', import: 'default', eager: true }));

/** Variants that run the shader of another, with other constants. */
const shares: Readonly<Record<string, string>> = {
  // Lanes that hand their values on to one another, in the walk of rows and in that of blocks.
  'attentionForward/quads': 'attentionForward/rows',
  'attentionForward/quadBlock': 'attentionForward/block',
  'attentionBackward/quads': 'attentionBackward/rows',
  'attentionBackward/quadBlock': 'attentionBackward/block',
  // The same loop over blocks and over all.
  'cumsum/blocks': 'cumsum/serial',
  // The sum of the squares is there already.
  'clipScale/sum': 'clipNorm/norm',
  // A thread for each row or column: one lane of the others.
  'reduce/thread': 'reduce',
  'reduce/split/partial': 'reduce',
  'reduce/split/final': 'reduce',
  // Sums over the rows of what a kernel leaves: those of reduce.
  'normBackward/thread/sum': 'reduce',
  'normBackward/columns/sum': 'reduce',
  'normBackward/rows/sum': 'reduce',
  'matmul/splitK/sum': 'matmul/sum',
  // Products that find their operands in pictures.
  'conv/splitK/sum': 'matmul/sum',
  'conv/splitK': 'matmul',
  conv: 'matmul',
  'matmul/splitK': 'matmul',
  'matmul/padded': 'matmul',
  // One axis of the same.
  'resample/axes': 'resample',
};

const nameOf = (kernel: string): string => {
  const known = Object.keys(shares).filter((each) => kernel === each || kernel.startsWith(`${each}/`));
  const longest = known.sort((a, b) => b.length - a.length)[0];
  return longest === undefined ? kernel : `${shares[longest]}${kernel.slice(longest.length)}`;
};

/** The file of src/kernels/ that declares a family. */
function roomOf(family: string): string | undefined {
  const declaring = Object.entries(modules).filter(([, source]) =>
    new RegExp(`name: '${family}'|[fF]amily\\('${family}'|name: (direction|\`)[^\\n]*${family}`).test(source),
  );
  return declaring[0]?.[0].replace('../../src/kernels/', '').replace('.ts', '');
}

/** What the name of the kernel's file may be made of. */
function wordsOf(kernel: string): string[] {
  const [family = '', ...rest] = kernel.split('/');
  const direction = /Backward$/.test(family) ? 'backward' : 'forward';
  return [direction, /Cell/.test(family) ? 'cell' : '', family, ...rest].filter(Boolean);
}

const fits = (part: string, words: readonly string[]) =>
  words.some((word) => word.replace(/[\dx]+$/, '') === part || word === part);

const pathOf = new Map(Object.entries(shaders).map(([path, text]) => [text, path.replace('../../shaders/', '')]));

function all(): Dispatch[] {
  const dispatches = new Map<string, Dispatch>();
  for (const selection of ['gpu', 'software'] as const)
    for (const subgroups of [false, true])
      for (const family of familyNames)
        for (const each of dispatchesOf(family, { ...defaultProfile, selection, subgroups }))
          if (!each.kernel.startsWith('elementwise/'))
            dispatches.set(`${each.kernel} ${pathOf.get(each.source)}`, each);
  return [...dispatches.values()];
}

describe('every kernel is called as its shader', () => {
  const dispatches = all();

  it('by the folder and by each part of the file’s name', () => {
    const faults = dispatches.flatMap(({ kernel, source }) => {
      const path = pathOf.get(source);
      if (path === undefined) return `${kernel} runs a text that is no file`;
      const [folder = '', file = ''] = path.split('/');
      const name = nameOf(kernel);
      const room = roomOf(name.split('/')[0] ?? '');
      if (folder !== room) return `${kernel} runs ${path}, its family is declared in ${room}`;
      const words = wordsOf(name);
      const odd = file
        .replace('.wgsl', '')
        .split('.')
        .find((part) => !fits(part, words) && name !== room);
      return odd === undefined ? [] : `${kernel} runs ${path}: nothing in its name says ${odd}`;
    });
    expect(faults).toEqual([]);
    expect(dispatches.length).toBeGreaterThan(60);
  });

  it('and every shader is that of a kernel', () => {
    const run = new Set(dispatches.map(({ source }) => pathOf.get(source)));
    const others = [...pathOf.values()].filter((path) => !run.has(path) && !path.startsWith('lib/'));
    // Of no family: what compile() adds itself, what a source is filled with.
    expect(others.sort()).toEqual(['fill/fill.wgsl', 'finite/check.wgsl']);
  });

  it('and every family has a file of ops, and one of their tests, by its name, but for a few', () => {
    const files = import.meta.glob(['../../src/ops/*.ts', '../ops/*.test.ts']);
    const elsewhere: Readonly<Record<string, string>> = {
      clip: 'with the updates that it is for',
      scatterAdd: 'with gather: each is the gradient of the other',
      place: 'graph/packing.ts: states need it',
      commit: 'compile/commit.ts: no user records it',
    };
    const rooms = [...new Set([...families.keys()].map((family) => roomOf(family) ?? family))];
    const own = rooms.filter((room) => !(room in elsewhere));
    expect(own.filter((room) => !(`../../src/ops/${room}.ts` in files))).toEqual([]);
    expect(own.filter((room) => !(`../ops/${room}.test.ts` in files))).toEqual([]);
    expect(Object.keys(elsewhere).filter((room) => `../../src/ops/${room}.ts` in files)).toEqual([]);
  });
});
