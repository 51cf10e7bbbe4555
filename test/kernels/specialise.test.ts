import { describe, expect, it } from 'vitest';
import type { Dispatch } from '../../src/kernels/kernel.ts';
import { addLibrary } from '../../src/kernels/library.ts';
import { coordinateOf, extentText, inverseOf, uniformText } from '../../src/kernels/numbers.ts';
import { reversedOrder, specialise, withLibrary } from '../../src/kernels/specialise.ts';

const source = `// uses: order
struct Params { count: u32, offset: i32, scale: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<Element>;
@group(0) @binding(2) var<storage, read_write> b: array<Element>;
alias Element = f32;
const SIZE: u32 = 64u;
const EPS: f32 = 1e-5;
const FLAG: bool = false;
fn store(i: u32, value: Element) {
  if (i < params.count) { b[i] = value; }
}
fn main() {}
`;

const dispatch = (more: Partial<Dispatch> = {}): Dispatch => ({
  kernel: 'test/plain',
  source,
  bindings: [
    { kind: 'input', index: 0 },
    { kind: 'output', index: 0 },
  ],
  workgroups: [1, 1, 1],
  ...more,
});

describe('specialise', () => {
  it('sets constants and aliases in place', () => {
    const { code } = specialise(dispatch({ constants: { SIZE: 32, FLAG: true, Element: 'vec4<f32>' } }));
    expect(code).toContain('const SIZE: u32 = 32;');
    expect(code).toContain('const FLAG: bool = true;');
    expect(code).toContain('alias Element = vec4<f32>;');
    expect(code).not.toContain('64u');
  });

  it('writes numbers for f32 constants as f32 literals', () => {
    const literal = (EPS: number) =>
      /const EPS: f32 = (.*);/.exec(specialise(dispatch({ constants: { EPS } })).code)?.[1];
    expect(literal(2)).toBe('2.0');
    expect(literal(-3)).toBe('-3.0');
    expect(literal(0.1)).toBe(String(Math.fround(0.1)));
    expect(literal(1e-30)).toMatch(/e-30$|e-31$/);
    expect(literal(1e22)).toMatch(/[.e]/);
  });

  it('replaces a function whole, braces within it and all', () => {
    const store = 'fn store(i: u32, value: Element) { b[i] = value * 2.0; }';
    const { code } = specialise(dispatch({ functions: { store } }));
    expect(code).toContain(`${store}\nfn main() {}`);
    expect(code).not.toContain('params.count');
  });

  it('takes $ in replacements as it is', () => {
    const store = 'fn store(i: u32, value: Element) { /* $& $1 */ }';
    expect(specialise(dispatch({ functions: { store } })).code).toContain(store);
    expect(specialise(dispatch({ constants: { Element: '$&' } })).code).toContain('alias Element = $&;');
  });

  it('refuses a constant, a function or a library file that is not there', () => {
    expect(() => specialise(dispatch({ constants: { SIZ: 1 } }))).toThrow(
      '[specialise] test/plain declares no const or alias SIZ',
    );
    expect(() => specialise(dispatch({ functions: { load: 'fn load() {}' } }))).toThrow(
      '[specialise] test/plain declares no function load',
    );
    expect(() => specialise(dispatch({ library: ['nothing'] }))).toThrow('[specialise] shaders/lib/ has no nothing');
    expect(() => specialise(dispatch({ source: 'fn open() {', functions: { open: '' }, bindings: [] }))).toThrow(
      'has no end',
    );
  });

  it('refuses bindings that are not as many as the shader declares', () => {
    expect(() => specialise(dispatch({ bindings: [] }))).toThrow(
      'test/plain declares 2 storage bindings, the call gives 0',
    );
  });

  it('tells the access of each binding and the fields of Params', () => {
    const { access, fields } = specialise(dispatch());
    expect(access).toBe('rw');
    expect(fields).toEqual([
      { name: 'count', type: 'u32' },
      { name: 'offset', type: 'i32' },
      { name: 'scale', type: 'f32' },
    ]);
  });

  it('counts bindings that declarations add', () => {
    const declarations = '@group(0) @binding(3) var<storage, read> c: array<f32>;';
    const bindings = [...dispatch().bindings, { kind: 'input', index: 1 } as const];
    expect(specialise(dispatch({ declarations, bindings })).access).toBe('rwr');
  });

  it('puts directives before everything else, each once', () => {
    const enable = 'enable f16;';
    const { code } = specialise(
      dispatch({ source: `${source}\n${enable}`, declarations: `${enable}\nalias Half = f16;` }),
    );
    expect(code.startsWith('enable f16;\n')).toBe(true);
    expect(code.match(/enable/g)).toHaveLength(1);
  });

  it('gives the same text for the same dispatch', () => {
    const constants = { SIZE: 32, FLAG: true };
    expect(specialise(dispatch({ constants })).code).toBe(specialise(dispatch({ constants: { ...constants } })).code);
    expect(specialise(dispatch())).toEqual(specialise(dispatch()));
  });

  it('makes uniforms of the numbers that are marked, so that texts with other numbers are one text', () => {
    const marked = (offset: number, scale: number) => {
      const store = `fn store(i: u32, value: Element) { b[i + ${uniformText(3, 'u32')}] = value * ${uniformText(scale, 'f32')}; }`;
      const declarations = `fn at(i: i32) -> i32 { return i + ${uniformText(offset, 'i32')}; }`;
      return specialise(dispatch({ functions: { store }, declarations }));
    };
    const { code, fields } = marked(-7, 1e-8);
    expect(code).toContain('b[i + params.number0] = value * params.number1;');
    expect(code).toContain('return i + params.number2;');
    expect(code).toContain('struct Params { number0: u32, number1: f32, number2: i32, count: u32,');
    expect(fields.slice(0, 4)).toEqual([
      { name: 'number0', type: 'u32', value: 3 },
      { name: 'number1', type: 'f32', value: 1e-8 },
      { name: 'number2', type: 'i32', value: -7 },
      { name: 'count', type: 'u32' },
    ]);
    const others = marked(5, 0.25);
    expect(others.code).toBe(code);
    expect(others.fields.map(({ value }) => value)).toEqual([3, 0.25, 5, undefined, undefined, undefined]);
  });

  it('tells numbers of different types apart', () => {
    const code = (type: 'u32' | 'i32') =>
      specialise(dispatch({ functions: { store: `fn store() { let x = ${uniformText(5, type)}; }` } })).code;
    expect(code('u32')).toContain('number0: u32');
    expect(code('i32')).toContain('number0: i32');
  });

  it('leaves numbers in the text that find no room in a block of 64 words', () => {
    const numbers = Array.from({ length: 63 }, (_, i) => uniformText(i + 1, 'f32'));
    const store = `fn store(i: u32, value: Element) { b[i] = ${numbers.join(' + ')}; }`;
    const { code, fields } = specialise(dispatch({ functions: { store } }));
    expect(fields).toHaveLength(64);
    expect(code).toContain('params.number60 + 62.0 + 63.0;');
  });

  it('refuses numbers where there is no struct Params', () => {
    const bare = source.replace(/^struct.*\n/m, '');
    const store = `fn store() { let x = ${uniformText(5, 'u32')}; }`;
    expect(() => specialise(dispatch({ source: bare, functions: { store } }))).toThrow(
      '[specialise] test/plain has numbers, and no struct Params for them',
    );
  });

  describe('of a text with extents', () => {
    const marked = (inner: number, extent: number, bound = 1000) => {
      const [at, outer] = [coordinateOf('i', bound, inner, extent), coordinateOf('i', bound, inner * extent)];
      const store = `fn store(i: u32, value: Element) { b[${at} * ${extentText(3)} + ${outer} + ${uniformText(7, 'u32')}] = value; }`;
      return specialise(dispatch({ functions: { store } }));
    };

    it('makes constants of them, and uniforms in its general form', () => {
      const shader = marked(5, 12);
      expect(shader.code).toContain('b[((i / 5u) % 12u) * 3u + (i / 60u) + params.number0]');
      const general = shader.general?.();
      expect(general?.code).toContain(
        'b[(shortQuotient(i, params.divisor0, params.inverse0) - shortQuotient(i, params.divisor1, params.inverse1) * params.extent5) * params.extent6 + shortQuotient(i, params.divisor1, params.inverse1) + params.number0]',
      );
      expect(general?.fields.map(({ name, value }) => [name, value])).toEqual([
        ['number0', 7],
        ['divisor0', 5],
        ['inverse0', inverseOf(5)],
        ['divisor1', 60],
        ['inverse1', inverseOf(60)],
        ['extent5', 12],
        ['extent6', 3],
        ...['count', 'offset', 'scale'].map((name) => [name, undefined]),
      ]);
      expect(marked(7, 12).code).not.toBe(shader.code);
      expect(marked(7, 12).general?.().code).toBe(general?.code);
      expect(general?.access).toBe(shader.access);
    });

    it('divides indices and quotients that are large in two steps', () => {
      expect(marked(5, 12, 2 ** 23).general?.().code).toContain(
        'b[(longQuotient(i, params.divisor0, params.inverse0) - shortQ',
      );
      expect(marked(2 ** 29, 2, 2 ** 32).general?.().code).not.toContain('= shortQ');
      expect(marked(2 ** 29, 2, 2 ** 32).general?.().code).toContain('b[(longQuotient(i, params.divisor0');
    });

    it('has no general form where there are none', () => {
      expect(specialise(dispatch()).general).toBeUndefined();
    });

    it('leaves those in the text of the general form that find no room', () => {
      const numbers = Array.from({ length: 57 }, (_, i) => uniformText(i + 1, 'f32'));
      const extents = [coordinateOf('i', 99, 5, 3), coordinateOf('i', 99, 15), coordinateOf('i', 99, 4), extentText(9)];
      const store = `fn store(i: u32, value: Element) { b[${extents.join(' + ')}] = ${numbers.join(' + ')}; }`;
      const general = specialise(dispatch({ functions: { store } })).general?.();
      expect(general?.fields).toHaveLength(64);
      expect(general?.code).toContain(
        'b[((i / 5u) % 3u) + shortQuotient(i, params.divisor0, params.inverse0) + shortQuotient(i, params.divisor1, params.inverse1) + 9u]',
      );
    });
  });

  it('reverses lanes and workgroups when asked to', () => {
    const { code } = specialise(dispatch(), reversedOrder);
    expect(code).toContain('return size - 1u - local_index;');
    expect(code).toContain('return num_workgroups - 1u - workgroup_id;');
  });
});

describe('the library', () => {
  it('comes before the shader, in the order of its first line, each file once', () => {
    const text = withLibrary('// uses: order, bits\nfn own() {}', ['bits', 'status']);
    const places = ['fn laneOrder', 'fn notANumber', 'fn reportBadData', 'fn own'].map((name) => text.indexOf(name));
    expect(places.every((at) => at >= 0)).toBe(true);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(text.match(/fn notANumber/g)).toHaveLength(1);
  });

  it('has files that may be named in full', () => {
    expect(withLibrary('// uses: order.wgsl, bits.wgsl\nfn own() {}')).toBe(
      withLibrary('// uses: order, bits\nfn own() {}').replace('order, bits', 'order.wgsl, bits.wgsl'),
    );
  });

  it('makes a text of a file for each of what it is used for, once, behind what that uses', () => {
    addLibrary({
      half: '// of: side\nfn half$Side() { $side(params.$sideRow); }',
      pair: '// of: left, right\n// uses: half($right)\nfn pair$Left$Right() { half$Right(); }',
    });
    const text = withLibrary('// uses: pair(q k dO v), half(k q)\nfn own() {}');
    const made = [...text.matchAll(/fn (\w+)\(\) \{ (.*?) \}/g)].map(([, name, body]) => `${name}: ${body}`);
    expect(made).toEqual([
      'halfK: k(params.kRow);',
      'pairQK: halfK();',
      'halfV: v(params.vRow);',
      'pairDOV: halfV();',
      'halfQ: q(params.qRow);',
    ]);
  });

  it('is optional', () => {
    expect(withLibrary('fn own() {}')).toBe('fn own() {}');
  });
});

it('binding text is made in one place', () => {
  const sources: Record<string, string> = import.meta.glob('../../src/**/*.ts', {
    query: '?raw',
    import: 'default',
    eager: true,
  });
  const makers = Object.entries(sources).filter(([, text]) => /['`]@group\(0\) @binding/.test(text));
  expect(makers.map(([path]) => path)).toEqual(['../../src/kernels/bindingText.ts']);
});
