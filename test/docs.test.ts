import { expect, test } from 'vitest';
import manifest from '../package.json';
import { publicNames } from './support/docs.ts';

const texts: Record<string, string> = import.meta.glob(
  ['../*.ts', '../{src,shaders,test,tools,bench,demo}/**/*.{ts,mjs,wgsl}', '!**/node_modules/**'],
  { query: '?raw', import: 'default', eager: true },
);

/** Sources of what the package exports: `./dist/types/src/nn/index.d.ts` is made of `src/nn/index.ts`. */
const entries = Object.values<string | { readonly types: string }>(manifest.exports).flatMap((entry) =>
  typeof entry === 'string' ? [] : [entry.types.replace('./dist/types/', '').replace(/\.d\.ts$/, '.ts')],
);

test('every public name has a docstring', async () => {
  expect(entries).toContain('src/index.ts');
  expect(entries.length).toBeGreaterThan(8);
  const { documented, missing } = await publicNames(entries);
  expect(missing).toEqual([]);
  expect(documented).toEqual(
    expect.arrayContaining([
      'matmul',
      'nn',
      'nn.Linear.forward',
      'nn.Linear(options).bias',
      'Generator.restore',
      'Parameter.grad',
    ]),
  );
  expect(documented.length).toBeGreaterThan(700);
});

test('a name without a docstring is found wherever it is', async () => {
  const { documented, missing } = await publicNames(['test/support/docs.sample.ts']);
  expect(missing.toSorted()).toEqual(
    [
      'Options.bareOption',
      'BareInterface',
      'Sample.bareField',
      'Sample.bareMethod',
      'Sample.bareStatic',
      'told(_options).bareHidden',
      'told(_more).bareInline',
      'bareConstant',
      'bareFunction',
      'bareTags',
      'bareSpace',
    ]
      .map((name) => `${name} (test/support/docs.sample.ts)`)
      .concat('bareSpace.bareInner (test/support/docs.inner.ts)')
      .toSorted(),
  );
  expect(documented).toEqual(
    expect.arrayContaining([
      'Options',
      'Options.told',
      'BareInterface.told',
      'Sample',
      'Sample.inherited',
      'told',
      'Nested',
    ]),
  );
});

test('comments speak of files that there are', () => {
  // A module is not among those that it asks for.
  const names = new Set(['docs.test.ts', ...Object.keys(texts).map((path) => path.split('/').at(-1))]);
  const spoken = Object.entries(texts).flatMap(([path, text]) =>
    [...text.matchAll(/^\s*(?:\/\/|\/?\*).*/gm)].flatMap(([line]) =>
      // Neither `.test.ts`, the end of a name, nor `./dist/…`, a path of what is built.
      [...line.matchAll(/(?<![\w./-])(?:\w[\w.-]*\/)*(\w[\w.-]*\.(?:wgsl|ts|mjs))\b/g)].map((match) => ({
        where: `${path}: ${match[0]}`,
        name: match[1],
      })),
    ),
  );
  expect(spoken.length).toBeGreaterThan(100);
  const ours = spoken.filter(({ where }) => !where.includes('node_modules/'));
  expect(ours.filter(({ name }) => !names.has(name)).map(({ where }) => where)).toEqual([]);
});
