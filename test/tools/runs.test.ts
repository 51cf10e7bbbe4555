import { describe, expect, it } from 'vitest';
import { allRuns, chosen, isPartOf, otherRuns, partOf, parts } from '../runs.ts';

describe('the runs of npm test', () => {
  const all = Object.keys(import.meta.glob('../**/*.test.ts')).map((path) =>
    // Those beside this one are given from here.
    path.replace(/^\.\.\//, 'test/').replace(/^\.\//, 'test/tools/'),
  );

  it('have every test in one of them at least', () => {
    expect(all.length).toBeGreaterThan(100);
    for (const file of all) expect(allRuns.filter((run) => isPartOf(file, run)).length, file).toBeGreaterThan(0);
    expect(() => partOf('test/nowhere/new.test.ts')).toThrow(
      'test/nowhere/new.test.ts is part of no run: say in test/runs.ts which runs it is part of',
    );
  });

  it('are told of files and folders that there are, once each', () => {
    const paths = parts.flatMap(({ tests }) => tests);
    expect(new Set(paths).size).toBe(paths.length);
    for (const path of paths) {
      const reached = all.filter((file) => file === `test/${path}.test.ts` || file.startsWith(`test/${path}/`));
      expect(reached.length, path).toBeGreaterThan(0);
      expect(
        reached.some((file) => partOf(file).tests.includes(path)),
        path,
      ).toBe(true);
    }
  });

  it('take the line that leads on the furthest', () => {
    const runsOf = (file: string) => allRuns.filter((run) => isPartOf(file, run));
    expect(runsOf('test/kernels/matmul.test.ts')).toEqual(allRuns);
    expect(runsOf('test/kernels/barriers.test.ts').map(({ profile }) => profile)).toEqual(['software', 'software']);
    expect(runsOf('test/io/bytes.test.ts')).toEqual([{ runtime: 'deno', profile: 'software' }]);
  });

  it('have a chosen part on other engines, each kernel among it', () => {
    const sources = import.meta.glob('../kernels/*.test.ts', { query: '?raw', import: 'default', eager: true });
    const kernels = Object.entries(sources as Record<string, string>).filter(([, text]) =>
      text.includes('conformance('),
    );
    const files = kernels.map(([path]) => path.replace('../', 'test/'));
    expect(files.length).toBeGreaterThan(10);
    for (const run of otherRuns) {
      const own = all.filter((file) => isPartOf(file, run));
      expect(own.length).toBe(chosen.tests.length);
      expect(own).toEqual(expect.arrayContaining(files));
    }
  });
});
