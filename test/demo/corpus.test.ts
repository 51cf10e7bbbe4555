import { describe, expect, it } from 'vitest';
import { corpusOf, fingerprint, isSource } from '../../demo/corpus.ts';

const sources = {
  'README.md': '# weft\n',
  'src/tensor.ts': 'export class Tensor {}\n',
  'src/ops/view.ts': 'export function slice() {}\r\n\r\n',
  'shaders/copy/copy.wgsl': '// uses: order\n',
};

describe('the embedded text', () => {
  it('takes README, TypeScript and shaders', () => {
    expect(Object.keys(sources).every(isSource)).toBe(true);
    expect(['src/ops/notes.md', 'test/a.test.ts', 'src/README.md', 'package.json'].filter(isSource)).toEqual([]);
  });

  it('does not depend on the order in which files were found', () => {
    const turned = Object.fromEntries(Object.entries(sources).reverse());
    expect(corpusOf(turned)).toBe(corpusOf(sources));
  });

  it('puts each file under its path, with plain line ends', () => {
    const files = corpusOf(sources).split(/^(?=\/\/ (?:README|src|shaders))/m);
    expect(files).toHaveLength(4);
    expect(files.map((file) => file.trim())).toContain('// src/ops/view.ts\nexport function slice() {}');
  });

  it('mixes folders, so that its end is like its beginning', () => {
    const names = Array.from({ length: 40 }, (_, i) => [`src/a/f${i}.ts`, `shaders/b/f${i}.wgsl`]).flat();
    const text = corpusOf(Object.fromEntries(names.map((name) => [name, 'x'])));
    const last = text.match(/^\/\/ \S+/gm)?.slice(-16) ?? [];
    const shaders = last.filter((line) => line.includes('shaders/')).length;
    expect(shaders).toBeGreaterThan(2);
    expect(shaders).toBeLessThan(14);
  });

  it('has a fingerprint that changes with it', async () => {
    expect(await fingerprint('weft')).toBe(await fingerprint('weft'));
    expect(await fingerprint('weft')).not.toBe(await fingerprint('Weft'));
    expect(await fingerprint('')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });
});
