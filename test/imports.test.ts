import { describe, expect, it } from 'vitest';

/**
 * What each part of src/ may import besides itself. Parts are paths, and the longest one that holds a file counts, in both
 * columns. `type x` allows only types of x; `!x` takes x out of something wider that is allowed.
 */
const mayImport: Record<string, readonly string[]> = {
  // The engine, from the ground up: a graph of values; kernels as pure descriptions; a compiler that turns the one into a
  // list of the other; a runtime that runs such lists. Nothing below the ops imports an op: Tensor is known as a type.
  'src/errors': [],
  'src/graph': ['src/errors', 'src/options', 'type src/tensor', 'type src/kernels'],
  'src/kernels': ['src/errors', 'src/options', 'shaders', 'src/graph/shape', 'src/graph/dtype', 'type src/graph'],
  'src/compile': ['src/errors', 'src/graph', 'src/kernels', 'type src/tensor'],
  'src/gpu': [
    'src/errors',
    'src/options',
    'src/graph',
    'src/kernels/kernel',
    'src/kernels/families',
    'src/kernels/fill',
    'src/kernels/findings',
    'src/kernels/loops',
    'type src/kernels',
    'src/compile',
    'src/io/files',
    'src/io/lock',
    'src/version',
    'type src/tensor',
  ],
  'src/version': [],
  'src/options': ['src/errors'],
  'src/random': ['src/errors', 'src/options'],
  'src/print': ['src/graph'],
  // What users touch. Methods call functions and functions return tensors, so these two know each other.
  'src/ops': [
    'src/errors',
    'src/options',
    'src/graph',
    'src/kernels',
    'src/tensor',
    'src/random',
    'src/compile/trace',
    'src/gpu/run',
  ],
  'src/tensor': ['src/errors', 'src/options', 'src/graph', 'src/ops', 'src/gpu', 'src/print', 'src/random'],
  // What is made of ops: knows nothing of kernels, plans and devices.
  'src/nn': ['src', '!src/train', '!src/kernels', '!src/gpu', '!src/compile', '!src/index'],
  'src/optim': ['src', '!src/train', '!src/kernels', '!src/gpu', 'src/gpu/run', '!src/compile', '!src/index'],
  'src/models': ['src', '!src/train', '!src/kernels', '!src/gpu', 'src/gpu/step', '!src/compile', '!src/index'],
  'src/text': ['src', '!src/train', '!src/kernels', '!src/gpu', '!src/compile', '!src/index'],
  'src/io': ['src', '!src/train', '!src/kernels', '!src/gpu', 'src/gpu/run', '!src/compile', '!src/index'],
  // What brings all of it together.
  'src/train': [
    'src',
    '!src/kernels',
    '!src/gpu',
    'src/gpu/step',
    'src/gpu/run',
    'src/gpu/oneByOne',
    '!src/compile',
    '!src/index',
  ],
  // A run that changes its device has to know of devices.
  'src/train/rescue': ['src', '!src/kernels', '!src/compile', '!src/index'],
  'src/train/recover': ['src', '!src/kernels', '!src/compile', '!src/index'],
  'src/io/files': ['src/errors', 'src/io/bytes'],
  'src/io/lock': ['src/errors', 'src/options', 'src/io/files'],
  'src/io/bytes': ['src/errors', 'src/options'],
  'src/index': ['src'],
  shaders: [],
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const sources: Record<string, string> = import.meta.glob(['../src/**/*.ts', '../shaders/**/*.ts', '!**/*.d.ts'], {
  query: '?raw',
  import: 'default',
  eager: true,
});
const files = Object.entries(sources).map(([path, source]) => ({ path: path.replace('../', ''), source }));

/** `import … from '…'`, `export … from '…'`, `import '…'`, `import('…')` */
const statement =
  /^\s*(?:import|export)\s+(?:(type)\s+)?(?:[\w*{][^'"`;]*?\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;

function importsOf(file: { path: string; source: string }): Import[] {
  return [...file.source.matchAll(statement)].map(([, type, fixed, dynamic]) => {
    const specifier = fixed ?? dynamic ?? '';
    const to = specifier.startsWith('.') ? resolve(file.path, specifier) : specifier;
    return { from: file.path, to, typeOnly: type !== undefined };
  });
}

function resolve(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

/** The longest of the parts that holds the file. */
function partOf(path: string, parts: readonly string[]): string | undefined {
  const holding = parts.filter((part) => path === `${part}.ts` || path.startsWith(`${part}/`));
  return holding.sort((a, b) => b.length - a.length)[0];
}

/** null where the import is allowed, else what is wrong with it. */
function fault({ from, to, typeOnly }: Import): string | null {
  const importer = partOf(from, Object.keys(mayImport));
  if (importer === undefined) return `${from} belongs to no part: give it a row in this test`;
  if (partOf(to, [importer])) return null;
  const rules = new Map((mayImport[importer] ?? []).map((rule) => [rule.replace(/^(!|type )/, ''), rule]));
  const rule = rules.get(partOf(to, [...rules.keys()]) ?? '');
  if (rule === undefined || rule.startsWith('!')) return `${from} imports ${to}: ${importer} may not`;
  if (rule.startsWith('type ') && !typeOnly)
    return `${from} imports values of ${to}: ${importer} may import its types only`;
  return null;
}

describe('the imports of src/', () => {
  it('go in one direction', () => {
    const faults = files.flatMap(importsOf).flatMap((each) => fault(each) ?? []);
    expect(faults).toEqual([]);
  });

  it('carry the extension .ts or .wgsl, so that Deno runs the sources as they are', () => {
    const others = files.flatMap(importsOf).filter(({ to }) => !/\.(ts|wgsl)$/.test(to));
    expect(others).toEqual([]);
  });

  it('are all found by this test', () => {
    const source = [
      `import { a, b } from './a.ts';`,
      `import type { C } from '../graph/c.ts';`,
      `import {\n  d,\n  e,\n} from './d.ts';`,
      `export * from './e.ts';`,
      `export { default as f } from "./f.ts";`,
      `import './g.ts';`,
      `const h = await import('./h.ts');`,
      `import i from '../../shaders/i.wgsl' with { type: 'text' };`,
      `export const j = 'x'; // from './no.ts'`,
    ].join('\n');
    expect(importsOf({ path: 'src/ops/x.ts', source }).map(({ to }) => to)).toEqual([
      'src/ops/a.ts',
      'src/graph/c.ts',
      'src/ops/d.ts',
      'src/ops/e.ts',
      'src/ops/f.ts',
      'src/ops/g.ts',
      'src/ops/h.ts',
      'shaders/i.wgsl',
    ]);
  });

  it.each([
    [{ from: 'src/graph/node.ts', to: 'src/ops/matmul.ts', typeOnly: false }, /may not/],
    [{ from: 'src/graph/node.ts', to: 'src/errors.ts', typeOnly: false }, null],
    [{ from: 'src/graph/node.ts', to: 'src/tensor.ts', typeOnly: true }, null],
    [{ from: 'src/graph/node.ts', to: 'src/tensor.ts', typeOnly: false }, /types only/],
    [{ from: 'src/compile/program.ts', to: 'src/gpu/run.ts', typeOnly: true }, /may not/],
    [{ from: 'src/nn/linear.ts', to: 'src/ops/matmul.ts', typeOnly: false }, null],
    [{ from: 'src/nn/linear.ts', to: 'src/gpu/device.ts', typeOnly: true }, /may not/],
    [{ from: 'src/optim/sgd.ts', to: 'src/train/train.ts', typeOnly: true }, /may not/],
    [{ from: 'src/train/train.ts', to: 'src/optim/sgd.ts', typeOnly: false }, null],
    [{ from: 'src/nowhere/x.ts', to: 'src/errors.ts', typeOnly: false }, /no part/],
  ])('are judged by the table: %o', (example, expected) => {
    if (expected) expect(fault(example)).toMatch(expected);
    else expect(fault(example)).toBeNull();
  });
});
