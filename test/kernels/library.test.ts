import { expect, it } from 'vitest';

/**
 * Library text comes with the kernels that use it, so that who imports one family has what its shaders name, and not the
 * text of all others.
 */
const modules: Record<string, string> = import.meta.glob(['../../src/kernels/**/*.ts', '../../src/ops/random.ts'], {
  query: '?raw',
  import: 'default',
  eager: true,
});
const shaders: Record<string, string> = import.meta.glob('../../shaders/**/*.wgsl', {
  query: '?raw',
  import: 'default',
  eager: true,
});

const resolve = (from: string, specifier: string) => {
  const base = `file:///a/${from.replace('../../', '')}`;
  return `../../${new URL(specifier, base).pathname.replace('/a/', '')}`;
};
const importsOf = (path: string) =>
  [...(modules[path] ?? '').matchAll(/^import [^'"]*['"](\.[^'"]+)['"]|^} from ['"](\.[^'"]+)['"]/gm)].map((match) =>
    resolve(path, match[1] ?? match[2] ?? ''),
  );

/** A module and all kernels' modules that it leads to. */
function reach(path: string, seen = new Set<string>()): Set<string> {
  if (seen.has(path) || !(path in modules)) return seen;
  seen.add(path);
  for (const next of importsOf(path)) reach(next, seen);
  return seen;
}

/** Library files that a shader, or one of them, names in its first lines. */
const namedIn = (shader: string) =>
  (/^(?:\/\/ of: .*\n)?\/\/ uses: (.*)/.exec(shaders[shader] ?? '')?.[1] ?? '').match(/\w+(?=[(,]|$)/g) ?? [];

/** Library files that a module names, in its shaders and by itself, and those that these name. */
function usedBy(path: string): string[] {
  const own = [...(modules[path] ?? '').matchAll(/library: \[([^\]]*)\]/g)].flatMap((match) =>
    [...(match[1] ?? '').matchAll(/'(\w+)/g)].map(([, name = '']) => name),
  );
  const used = new Set([...importsOf(path).flatMap(namedIn), ...own]);
  for (const name of used) for (const next of namedIn(`../../shaders/lib/${name}.wgsl`)) used.add(next);
  return [...used];
}

/** Library files whose text the modules add. */
const addedBy = (paths: Iterable<string>) =>
  [...paths].flatMap((path) => importsOf(path).flatMap((shader) => /shaders\/lib\/(.*)\.wgsl/.exec(shader)?.[1] ?? []));

it('every module brings the library files that its shaders use', () => {
  const always = '../../src/kernels/library.ts';
  const missing = Object.keys(modules).flatMap((path) => {
    const added = addedBy([...reach(path), always]);
    return usedBy(path).flatMap((name) => (added.includes(name) ? [] : `${path} uses ${name}`));
  });
  expect(missing).toEqual([]);
  expect(Object.keys(modules).flatMap(usedBy).length).toBeGreaterThan(40);
});
