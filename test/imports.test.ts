import { describe, expect, it } from 'vitest';

/**
 * The floors of src/, from the top. A folder (or a file beside them) imports only from floors below its own, types included,
 * so that it can be read, and used, without what stands on it.
 */
const floors: readonly (readonly string[])[] = [
  ['index', 'minimal'],
  ['train', 'files', 'insight'],
  ['models'],
  ['optim'],
  ['nn'],
  // The ops as methods: models are written with them, ops without.
  ['methods'],
  ['runtime'],
  // Two wings: what an op means, and how a graph becomes commands.
  ['ops', 'compile'],
  // Two wings: the graph of values, and the device with its memory.
  ['graph', 'device'],
  ['kernels', 'text', 'io'],
  ['core', 'wgsl.d'],
];

/**
 * What others import besides files of their own folder: what users do, and a few things of the ground. Paths are folders or
 * files; the longest that holds a file counts.
 */
const guests: Readonly<Record<string, readonly string[]>> = {
  tools: ['src/core/options', 'test/runs', 'test/skips'],
  'tools/trial': ['src/index'],
  'tools/engines': ['test/engines', 'tools'],
  demo: ['src/index', 'src/core/options', 'src/core/random', 'tools'],
  bench: ['src/index', 'src/core', 'demo', 'tools'],
  // It asks kernels for their variants, and the graph for its nodes.
  'bench/weft': ['src/index', 'src/core', 'src/kernels', 'src/nn', 'src/ops/updates', 'bench'],
  'bench/host': ['src/index', 'src/core', 'src/graph', 'bench', 'demo', 'tools'],
  shaders: [],
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

const sources: Record<string, string> = import.meta.glob(
  [
    '../{src,shaders}/**/*.ts',
    '../{demo,bench}/**/*.ts',
    '../tools/*.mjs',
    '!**/node_modules/**',
    '!**/*.d.ts',
    '!../bench/peers/**',
  ],
  { query: '?raw', import: 'default', eager: true },
);
const files = Object.entries(sources).map(([path, source]) => ({ path: path.replace('../', ''), source }));

/** `import … from '…'`, `export … from '…'`, `import '…'`, `import('…')` */
const statement =
  /^\s*(?:import|export)\s+(?:(type)\s+)?(?:([\w*{][^'"`;]*?)\sfrom\s+)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm;

function importsOf(file: { path: string; source: string }): Import[] {
  return [...file.source.matchAll(statement)].map(([, type, names, fixed, dynamic]) => {
    const specifier = fixed ?? dynamic ?? '';
    const to = specifier.startsWith('.') ? resolve(file.path, specifier) : specifier;
    return { from: file.path, to, typeOnly: type !== undefined || onlyTypes(names) };
  });
}

/** `{ type A, type B }` */
function onlyTypes(names: string | undefined): boolean {
  const inner = /^\{([^}]*)\}$/.exec(names?.trim() ?? '')?.[1];
  return inner?.split(',').every((name) => name.trim() === '' || name.trim().startsWith('type ')) ?? false;
}

function resolve(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

/** The longest of the parts that holds the file. */
function partOf(path: string, parts: readonly string[]): string | undefined {
  const holding = parts.filter((part) => new RegExp(`^${part}(\\.\\w+$|/)`).test(path));
  return holding.sort((a, b) => b.length - a.length)[0];
}

/** The folder of src/, or the file beside the folders. */
const roomOf = (path: string): string => /^src\/(.*?)(\/|\.ts$)/.exec(path)?.[1] ?? '';

const floorOf = (room: string): number => floors.findIndex((floor) => floor.includes(room));

/** null where the import is allowed, else what is wrong with it. */
function fault({ from, to }: Import): string | null {
  if (from.startsWith('src/')) return faultInSource(from, to);
  const guest = partOf(from, Object.keys(guests));
  if (guest === undefined) return `${from} belongs to nobody: give it a row in this test`;
  if (!/^(src|shaders|test|tools|demo|bench)\//.test(to) || partOf(to, [guest, ...(guests[guest] ?? [])])) return null;
  return `${from} imports ${to}: ${guest} may not`;
}

function faultInSource(from: string, to: string): string | null {
  const [room, floor] = [roomOf(from), floorOf(roomOf(from))];
  if (floor < 0) return `${from} stands on no floor: give src/${room} one in this test`;
  if (to.startsWith('shaders/')) return room === 'kernels' ? null : `${from} imports ${to}: only kernels may`;
  if (!to.startsWith('src/')) return `${from} imports ${to}, which is not in src/`;
  if (roomOf(to) === room) return null;
  return floorOf(roomOf(to)) > floor ? null : `${from} imports ${to}, which does not stand below ${room}`;
}

/** Circles of files that import values of one another. */
function circles(imports: readonly Import[]): string[][] {
  const targets = new Map<string, Set<string>>();
  for (const { from, to, typeOnly } of imports) {
    if (typeOnly) continue;
    const known = targets.get(from) ?? new Set();
    targets.set(from, known.add(to));
  }
  // What no circle goes through falls off, file by file: from the leaves, then from the roots.
  const open = new Set(targets.keys());
  for (let before = -1; before !== open.size; ) {
    before = open.size;
    for (const file of open) if (![...(targets.get(file) ?? [])].some((to) => open.has(to))) open.delete(file);
    for (const file of open) if (![...open].some((other) => targets.get(other)?.has(file))) open.delete(file);
  }
  return open.size > 0 ? [[...open]] : [];
}

describe('the imports', () => {
  it('of src/ go from floor to floor, downwards; others import what they may', () => {
    const faults = files.flatMap(importsOf).flatMap((each) => fault(each) ?? []);
    expect(faults).toEqual([]);
  });

  it('of values make no circles between files', () => {
    expect(circles(files.flatMap(importsOf))).toEqual([]);
    const ring = [
      { from: 'a', to: 'b', typeOnly: false },
      { from: 'b', to: 'c', typeOnly: false },
      { from: 'c', to: 'a', typeOnly: false },
      { from: 'd', to: 'a', typeOnly: false },
      { from: 'c', to: 'e', typeOnly: false },
    ];
    expect(circles(ring)).toEqual([['a', 'b', 'c']]);
    expect(circles(ring.map((each) => ({ ...each, typeOnly: each.from === 'b' })))).toEqual([]);
  });

  it('carry the extension .ts or .wgsl, so that Deno runs the sources as they are', () => {
    const inSource = files.filter(({ path }) => path.startsWith('src/'));
    const others = inSource.flatMap(importsOf).filter(({ to }) => !/\.(ts|wgsl)$/.test(to));
    expect(others).toEqual([]);
  });

  it('of each op work alone: nothing has to be imported first', async () => {
    const ops = import.meta.glob<Readonly<Record<string, unknown>>>('../src/ops/*.ts');
    expect(Object.keys(ops).length).toBeGreaterThan(20);
    for (const load of Object.values(ops)) expect(Object.keys(await load()).length).toBeGreaterThan(0);
    // Nobody else gives a room what it needs.
    const given = files.filter(({ path, source }) => path.startsWith('src/') && /\bfunction provide[A-Z]/.test(source));
    expect(given.map(({ path }) => path)).toEqual([]);
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
      `import { type K, type L } from './k.ts';`,
      `import { type M, n } from './m.ts';`,
    ].join('\n');
    expect(
      importsOf({ path: 'src/ops/x.ts', source }).map(({ to, typeOnly }) => `${typeOnly ? 'type ' : ''}${to}`),
    ).toEqual([
      'src/ops/a.ts',
      'type src/graph/c.ts',
      'src/ops/d.ts',
      'src/ops/e.ts',
      'src/ops/f.ts',
      'src/ops/g.ts',
      'src/ops/h.ts',
      'shaders/i.wgsl',
      'type src/ops/k.ts',
      'src/ops/m.ts',
    ]);
  });

  it.each([
    ['src/graph/node.ts', 'src/ops/matmul.ts', /does not stand below graph/],
    ['src/graph/node.ts', 'src/core/errors.ts', null],
    ['src/graph/node.ts', 'src/device/device.ts', /does not stand below graph/],
    ['src/graph/node.ts', 'src/graph/tensor.ts', null],
    ['src/compile/program.ts', 'src/runtime/eager.ts', /does not stand below compile/],
    ['src/compile/program.ts', 'src/ops/view.ts', /does not stand below compile/],
    ['src/nn/linear.ts', 'src/ops/matmul.ts', null],
    ['src/nn/linear.ts', 'src/methods.ts', null],
    ['src/ops/linear.ts', 'src/methods.ts', /does not stand below ops/],
    ['src/ops/matmul.ts', 'shaders/matmul/tiled.wgsl', /only kernels/],
    ['src/optim/sgd.ts', 'src/train/train.ts', /does not stand below optim/],
    ['src/train/train.ts', 'src/optim/sgd.ts', null],
    ['src/train/train.ts', 'node:fs', /not in src/],
    ['src/nowhere/x.ts', 'src/core/errors.ts', /no floor/],
    ['demo/train.ts', 'src/nn/linear.ts', /may not/],
    ['demo/train.ts', 'src/index.ts', null],
    ['bench/suites/rows.ts', 'src/kernels/matmul.ts', /may not/],
    ['bench/weft.ts', 'src/kernels/matmul.ts', null],
    ['tools/test.mjs', 'src/index.ts', /may not/],
    ['nowhere/x.ts', 'src/index.ts', /nobody/],
  ])('are judged by the table: %s → %s', (from, to, expected) => {
    const found = fault({ from, to, typeOnly: false });
    if (expected) expect(found).toMatch(expected);
    else expect(found).toBeNull();
  });
});
