import { describe, expect, it } from 'vitest';
import type { Dispatch } from '../../src/kernels/kernel.ts';
import { specialise } from '../../src/kernels/specialise.ts';
import { minifyWgsl } from '../../tools/wgsl.mjs';
import { compileModule, runProfile } from '../support/kernels.ts';
import * as plain from './problems.ts';

/** The package's shaders, which have short names and no needless space, are those of the sources to every compiler. */

/** The same modules with the package's shaders: see vite.config.ts. */
const problems = import.meta.glob<typeof plain>('./problems.ts', { query: '?packed', eager: true });
const specialisers = import.meta.glob<{ specialise: typeof specialise }>('../../src/kernels/specialise.ts', {
  query: '?packed',
  eager: true,
});
const packed = Object.values(problems)[0] as typeof plain;
const packedSpecialise = (Object.values(specialisers)[0] as { specialise: typeof specialise }).specialise;

/** Attributes, members, numbers, words, and the rest character by character. */
const token = /@\w+(?:\([^)]*\))?|\.[A-Za-z_]\w*|\d[\w.]*|[A-Za-z_]\w*|\S/g;
const tokensOf = (code: string) => code.replace(/\/\/.*|\/\*[\s\S]*?\*\//g, '').match(token) ?? [];
const isName = (text: string) => /^[A-Za-z_]/.test(text);

/** Tokens of each function, and of what stands between them. */
function sections(tokens: readonly string[]): string[][] {
  const found: string[][] = [[]];
  let depth = 0;
  for (const each of tokens) {
    if (each === 'fn') found.push([]);
    found.at(-1)?.push(each);
    if (each === '{') depth++;
    if (each === '}' && --depth === 0) found.push([]);
  }
  return found.filter(({ length }) => length > 0);
}

/** Whether a function declares a name: as a parameter, or as a variable. */
const declares = (section: readonly string[], name: string) =>
  section.some((each, i) => {
    const before = section[i - 1] as string;
    return (
      each === name && (['let', 'var', 'const'].includes(before) || (section[i + 1] === ':' && /^[(,@]/.test(before)))
    );
  });

/**
 * Fails where texts differ in more than the names of parameters and variables: within a function, each has one other name, no
 * two have the same, and all else has the name that it had.
 */
function expectSame(code: string, short: string, kernel: string): void {
  const [before, after] = [code, short].map((text) => sections(tokensOf(text))) as [string[][], string[][]];
  expect(after.length, kernel).toBe(before.length);
  for (const [s, section] of before.entries()) {
    const other = after[s] as string[];
    expect(other.length, kernel).toBe(section.length);
    const [names, origins] = [new Map<string, string>(), new Map<string, string>()];
    for (const [i, each] of section.entries()) {
      const name = other[i] as string;
      if (!isName(each)) {
        // `expect` for every token takes minutes.
        if (each !== name) expect(name, kernel).toBe(each);
        continue;
      }
      if (!names.has(each)) {
        if (each !== name) expect(declares(section, each), `${kernel}: ${each} became ${name}`).toBe(true);
        expect(origins.has(name), `${kernel}: ${each} and ${origins.get(name)} became ${name}`).toBe(false);
        names.set(each, name);
        origins.set(name, each);
      } else if (names.get(each) !== name) expect(name, `${kernel}: ${each}`).toBe(names.get(each));
    }
  }
}

const formsOf = (dispatch: Dispatch, as: typeof specialise) => {
  const shader = as(dispatch);
  return shader.general ? [shader, shader.general()] : [shader];
};

describe('minifyWgsl', () => {
  it('gives parameters and variables names of a letter or two', () => {
    expect(minifyWgsl('fn sum(left: u32, right: u32) -> u32 { let both = left + right; return both; }')).toBe(
      'fn sum(a:u32,b:u32)->u32{let c=a+b;return c;}',
    );
  });
  it('leaves members, attributes, functions and names of the module alone', () => {
    expect(
      minifyWgsl('fn main(@builtin(size) size: vec3<u32>) { var at = size.at; at += params.size + find(at); }'),
    ).toBe('fn main(@builtin(size)a:vec3<u32>){var b=a.at;b+=params.size+find(b);}');
  });
  it('takes no name that the function uses', () => {
    expect(minifyWgsl('fn f(value: u32) -> u32 { return a + b(value); }')).toBe('fn f(c:u32)->u32{return a+b(c);}');
  });
  it('leaves a name that means something else in another place of the function', () => {
    const before = 'fn f(){let a=size;{let size=a;g(size);}}';
    expect(minifyWgsl(before)).toBe(before);
    const after = 'fn f(){for(var size=0u;size<4u;size++){g(size);}g(size);}';
    expect(minifyWgsl(after)).toBe(after);
    const own = 'fn f(){let size=size+1u;g(size);}';
    expect(minifyWgsl(own)).toBe(own);
  });
  it('keeps variables apart that share a name', () => {
    expect(
      minifyWgsl(
        'fn f() { for (var i = 0u; i < 4u; i++) { let i = 2u * i; g(i); } for (var i = 0u; i < 2u; i++) { g(i); } }',
      ),
    ).toBe('fn f(){for(var a=0u;a<4u;a++){let a=2u*a;g(a);}for(var a=0u;a<2u;a++){g(a);}}');
  });
});

describe('the shaders of the package', () => {
  for (const family of plain.familyNames) {
    it(`are those of the sources: ${family}`, async () => {
      const seen = new Set<string>();
      const texts = new Map<string, string>();
      const others = packed.dispatchesOf(family, runProfile);
      // The text of elementwise chains is generated.
      if (family !== 'elementwise') for (const { source } of others) expect(source === minifyWgsl(source)).toBe(true);
      for (const [d, dispatch] of plain.dispatchesOf(family, runProfile).entries()) {
        const forms = formsOf(others[d] as Dispatch, packedSpecialise);
        for (const [f, { code, access, fields }] of formsOf(dispatch, specialise).entries()) {
          const other = forms[f] as (typeof forms)[number];
          if (seen.has(code)) continue;
          seen.add(code);
          expect(other.access).toBe(access);
          expect(other.fields.map(({ name, type }) => `${name}: ${type}`)).toEqual(
            fields.map(({ name, type }) => `${name}: ${type}`),
          );
          expectSame(code, other.code, dispatch.kernel);
          texts.set(dispatch.kernel, other.code);
        }
      }
      expect(texts.size).toBeGreaterThan(0);
      for (const [kernel, code] of texts) await compileModule(kernel, code);
    });
  }
});
